// The client at its edges: servers that answer without end or too early, functions that block or
// throw, strings of the program that must not reach the wire, redirects to odd places.
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gort/detail/atomic.hpp>
#include <gort/go.hpp>
#include <gort/http.hpp>
#include <gort/time.hpp>

#include "http/url.hpp"
#include "support/http_streams.hpp"
#include "support/http_world.hpp"
#include "support/run.hpp"

namespace gort::http {
namespace {

using namespace std::chrono_literals;
using test::failure;
using test::with_procs;
using test::world;

/// A client to which each connection answers `text`; keeps what it has sent.
struct scripted {
  explicit scripted(std::string text, client_options o = {}) : answer(std::move(text)) {
    o.dial = [this](const context&, const std::string& address, std::error_code&) {
      addresses.push_back(address);
      return std::make_unique<test::script_stream>(answer, sent);
    };
    ask = client(std::move(o));
  }
  std::string answer;
  std::string sent;
  std::vector<std::string> addresses;
  client ask;
};

// --- servers

TEST(http_client_edges, informational_responses_are_bounded_in_sum) {
  const std::string hint = "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n";
  const std::string last = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  std::string few;
  while (few.size() + hint.size() + last.size() <= 4096) few += hint;
  scripted good(few + last, {.max_header_bytes = 4096});
  EXPECT_EQ(good.ask.get("http://h/").status(), 200);
  scripted bad(few + hint + hint + last, {.max_header_bytes = 4096});
  EXPECT_EQ(failure(bad.ask, {.url = "http://h/"}), errc::header_too_large);
  std::string many;
  for (int i = 0; i < 40'000; ++i) many += hint;
  scripted by_default(many + last);
  EXPECT_EQ(failure(by_default.ask, {.url = "http://h/"}), errc::header_too_large);
  scripted unlimited(many + last, {.max_header_bytes = 0});
  EXPECT_EQ(unlimited.ask.get("http://h/").status(), 200);
}

/// A connection that is answered as soon as the head of a request has come.
struct hasty {
  explicit hasty(std::string_view answer) {
    client_options o;
    o.dial = [this, answer](const context&, const std::string&, std::error_code&) {
      auto pipe = test::make_pipe();
      server.go([answer, end = std::shared_ptr<stream>(std::move(pipe.server))] {
        std::string head;
        std::byte one;
        std::error_code error;
        while (!head.ends_with("\r\n\r\n") && end->read({&one, 1}, error) == 1) {
          head.push_back(static_cast<char>(one));
        }
        end->write(std::as_bytes(std::span(answer)), error);
        while (end->read({&one, 1}, error) == 1) continue;
      });
      return std::move(pipe.client);
    };
    ask = client(std::move(o));
  }
  ~hasty() {
    ask.close_idle_connections();
    server.wait();
  }
  wait_group server;
  client ask;
};

constexpr std::string_view refusal_text = "HTTP/1.1 413 No\r\nContent-Length: 3\r\n\r\nbig";

TEST(http_client_edges, an_early_answer_is_read_to_its_end_while_the_body_blocks) {
  with_procs(2, [] {
    auto proceed = make_chan<unit>();
    auto gone = make_chan<unit>();  // closed when nobody has the function any more
    gort::detail::atomic<int> calls;
    {
      hasty h(refusal_text);
      client_request upload{.method = "POST", .url = "http://h/"};
      struct guard {
        explicit guard(const chan<unit>& c) : on(c) {}
        chan<unit> on;
        ~guard() { on.close(); }
      };
      upload.body_reader = [&, owned = std::make_shared<guard>(gone)](std::span<std::byte> into) {
        if (calls.fetch_add_relaxed(1) == 1) proceed.recv();
        into[0] = std::byte{'x'};
        return std::size_t{1};
      };
      response r = h.ask.do_(upload);
      upload = {};
      EXPECT_EQ(r.status(), 413);
      EXPECT_EQ(r.body(), "big");
      EXPECT_EQ(r.body(), "");
      r.close();  // waits for the function, but not for ever
    }
    // An answer that was faster than the upload ends that.
    EXPECT_TRUE(calls.load_relaxed() < 2 || !gone.try_recv().ready) << "it blocks still";
    proceed.close();
    EXPECT_FALSE(gone.recv());
    EXPECT_LE(calls.load_relaxed(), 2) << "not called again";
  });
}

// A function that returns soon may refer to what the caller owns.
TEST(http_client_edges, closing_waits_for_a_body_that_returns_soon) {
  with_procs(2, [] {
    for (int i = 0; i < 50; ++i) {
      hasty h(refusal_text);
      gort::detail::atomic<int> inside;
      response r = h.ask.do_(
          {.method = "POST", .url = "http://h/", .body_reader = [&](std::span<std::byte> into) {
             inside.fetch_add_relaxed(1);
             gort::sleep(1ms);
             inside.fetch_sub_relaxed(1);
             return into.size();
           }});
      if (i % 2 == 0) r.body();
      r = {};
      EXPECT_EQ(inside.load_relaxed(), 0);
    }
  });
}

TEST(http_client_edges, what_a_body_throws_ends_the_exchange) {
  with_procs(2, [] {
    world w([](request& r, response_writer& out) { out.write(r.body()); });
    const auto failing = [](auto what) {
      return [what](std::span<std::byte>) -> std::size_t { throw what; };
    };
    EXPECT_EQ(failure(w.ask, {.method = "POST",
                              .url = "http://h/",
                              .body_reader = failing(std::system_error(
                                  std::make_error_code(std::errc::no_such_file_or_directory)))}),
              std::errc::no_such_file_or_directory);
    EXPECT_EQ(failure(w.ask, {.method = "POST",
                              .url = "http://h/",
                              .body_reader = failing(std::runtime_error("no"))}),
              std::errc::io_error);
    EXPECT_EQ(failure(w.ask, {.method = "POST", .url = "http://h/", .body_reader = failing(13)}),
              std::errc::io_error);
    EXPECT_EQ(failure(w.ask, {.method = "POST",
                              .url = "http://h/",
                              .body_reader = [](auto) -> std::size_t { runtime::goexit(); }}),
              std::errc::io_error);
    // More than it was asked for: what it says to have written lies behind the buffer.
    EXPECT_EQ(failure(w.ask, {.method = "POST",
                              .url = "http://h/",
                              .body_reader = [](auto into) { return into.size() + 1; }}),
              std::errc::invalid_argument);
    EXPECT_EQ(failure(w.ask, {.method = "POST",
                              .url = "http://h/",
                              .body_reader = [](auto) { return 0; },
                              .content_length = 3}),
              errc::content_length);
  });
}

/// Its close() is seen by the other end first: what that answers is still read.
class closed_late final : public test::forwarding_stream {
 public:
  using forwarding_stream::forwarding_stream;
  std::size_t read(std::span<std::byte> into, std::error_code& error) override {
    const std::size_t n = forwarding_stream::read(into, error);
    if (n != 0) answered_.close();
    return n;
  }
  void close() noexcept override {
    std::error_code ignored;
    close_write(ignored);
    answered_.recv();
    forwarding_stream::close();
  }

 private:
  chan<unit> answered_ = make_chan<unit>();
};

TEST(http_client_edges, an_answer_to_half_a_body_is_no_success) {
  with_procs(2, [] {
    wait_group server;
    client ask({.dial = [&](const context&, const std::string&, std::error_code&) {
      auto pipe = test::make_pipe();
      server.go([end = std::shared_ptr<stream>(std::move(pipe.server))] {
        std::byte some[512];
        std::error_code error;
        while (end->read(some, error) != 0) continue;
        end->write(std::as_bytes(std::span(refusal_text)), error);
      });
      return std::make_unique<closed_late>(std::shared_ptr<stream>(std::move(pipe.client)));
    }});
    EXPECT_EQ(failure(ask, {.method = "POST",
                            .url = "http://h/",
                            .body_reader = [](auto into) { return into.size() + 1; }}),
              std::errc::invalid_argument);
    server.wait();
  });
}

TEST(http_client_edges, cancelling_ends_a_handshake) {
  with_procs(2, [] {
    std::vector<std::unique_ptr<stream>> silent;
    auto dialed = make_chan<stream*>(2);
    client ask({.dial = [&](const context&, const std::string&, std::error_code&) {
      auto pipe = test::make_pipe();
      silent.push_back(std::move(pipe.server));
      dialed.send(silent.back().get());
      return std::move(pipe.client);
    }});
    const auto [ctx, cancel] = with_cancel(background());
    wait_group canceler;
    canceler.go([&, &stop = cancel] {
      stream* first = *dialed.recv();
      std::byte hello[100];
      std::error_code error;
      first->read(hello, error);  // it has begun
      stop();
    });
    EXPECT_EQ(failure(ask, {.url = "https://silent.example/"}, ctx), context_error::canceled);
    canceler.wait();
    const auto [late, stop] = with_timeout(background(), 20ms);
    EXPECT_EQ(failure(ask, {.url = "https://silent.example/"}, late),
              context_error::deadline_exceeded);
  });
}

// --- strings of the program

TEST(http_client_edges, no_string_of_the_program_starts_a_line_of_its_own) {
  scripted s("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
             {.user_agent = std::string("a\r\nX: y\nZ\0", 10)});
  client_request r{.url = "http://h/"};
  r.header.set("A", "b\r\nC: d");
  r.header.set("Host", "x\r\ny");
  EXPECT_EQ(s.ask.do_(r).status(), 200);
  EXPECT_EQ(s.sent, "GET / HTTP/1.1\r\nHost: x  y\r\nUser-Agent: a  X: y Z \r\nA: b  C: d\r\n\r\n");
  r.method = "GET / HTTP/1.1\r\nX: y\r\n\r\nGET";
  EXPECT_EQ(failure(s.ask, r), std::errc::invalid_argument);
}

// --- URLs

std::string parts_of(const char* text) {
  std::error_code error;
  const url u = url::parse(text, error);
  if (error) return "bad";
  return u.host + " " + u.host_field + " " + u.address + " " + u.target + " " + u.to_string();
}

TEST(http_client_edges, hosts) {
  EXPECT_EQ(parts_of("http://[fe80::1%25eth0]:81/a"),
            "fe80::1 [fe80::1]:81 [fe80::1%eth0]:81 /a http://[fe80::1%25eth0]:81/a");
  EXPECT_EQ(parts_of("http://[fe80::1%eth0]/"),
            "fe80::1 [fe80::1] [fe80::1%eth0]:80 / http://[fe80::1%eth0]/");
  EXPECT_EQ(parts_of("http://[fe80::1%25a%2Eb]/"),
            "fe80::1 [fe80::1] [fe80::1%a.b]:80 / http://[fe80::1%25a%2Eb]/");
  EXPECT_EQ(parts_of("http://[::ffff:1.2.3.4]/"),
            "::ffff:1.2.3.4 [::ffff:1.2.3.4] [::ffff:1.2.3.4]:80 / http://[::ffff:1.2.3.4]/");
  EXPECT_EQ(parts_of("http://h:/x"), "h h h:80 /x http://h/x");
  EXPECT_EQ(parts_of("http://a_b-c.~d!$&'()*+,;=/"),
            "a_b-c.~d!$&'()*+,;= a_b-c.~d!$&'()*+,;= a_b-c.~d!$&'()*+,;=:80 / "
            "http://a_b-c.~d!$&'()*+,;=/");
  for (const char* bad :
       {"http://::1/",         "http://::1:80/", "http://1:2:3/",         "http://[h]/",
        "http://[127.0.0.1]/", "http://[]/",     "http://[::1]x/",        "http://[::1]:x/",
        "http://x[::1]/",      "http://[::1/",   "http://::1]/",          "http://[v1.a]/",
        "http://[::1%25]/",    "http://[::1%]/", "http://[::1%25a%5db]/", "http://[::1%25a b]/",
        "http://h\\@g/",       "http://h%41/",   "http://\xc3\xbc/",      "http://h /",
        "http://h<g/",         "http://h\"/",    "http://h:+1/",          "http://h:65536/",
        "http://:80/",         "http://u:p@h/"}) {
    EXPECT_EQ(parts_of(bad), "bad") << bad;
  }
}

TEST(http_client_edges, targets_are_visible_ascii) {
  const auto target_of = [](const char* text) {
    std::error_code error;
    const url u = url::parse(text, error);
    return error ? "bad" : u.target;
  };
  EXPECT_EQ(target_of("http://h/\xc3\xbc?\xe9=\xc3\xbc#\xc3"), "/%C3%BC?%E9=%C3%BC");
  EXPECT_EQ(target_of("http://h/a\"<>\\^`{|}?\"<>\\^`{|}"),
            "/a%22%3C%3E%5C%5E%60%7B%7C%7D?\"<>\\^`{|}");
  EXPECT_EQ(target_of("http://h/%41%zz%"), "/%41%zz%") << "what is escaped already stays";
  EXPECT_EQ(target_of("http://h/a//../b/./"), "/a//../b/./") << "what a program says, it means";
  for (const char* bad : {"http://h/a b", "http://h/?a b", "http://h/\x7f", "http://h/\t"}) {
    EXPECT_EQ(target_of(bad), "bad") << bad;
  }
}

// RFC 3986, 5.4, with the examples that are of http.
TEST(http_client_edges, references_are_resolved_as_the_rfc_says) {
  std::error_code error;
  const url base = url::parse("http://a/b/c/d;p?q", error);
  const std::vector<std::pair<const char*, const char*>> rows{
      {"g", "/b/c/g"},
      {"./g", "/b/c/g"},
      {"g/", "/b/c/g/"},
      {"/g", "/g"},
      {"?y", "/b/c/d;p?y"},
      {"g?y", "/b/c/g?y"},
      {"#s", "/b/c/d;p?q"},
      {"g#s", "/b/c/g"},
      {"g?y#s", "/b/c/g?y"},
      {";x", "/b/c/;x"},
      {"g;x", "/b/c/g;x"},
      {"", "/b/c/d;p?q"},
      {".", "/b/c/"},
      {"./", "/b/c/"},
      {"..", "/b/"},
      {"../", "/b/"},
      {"../g", "/b/g"},
      {"../..", "/"},
      {"../../g", "/g"},
      {"../../../g", "/g"},
      {"../../../../g", "/g"},
      {"/./g", "/g"},
      {"/../g", "/g"},
      {"g.", "/b/c/g."},
      {".g", "/b/c/.g"},
      {"g..", "/b/c/g.."},
      {"..g", "/b/c/..g"},
      {"./../g", "/b/g"},
      {"./g/.", "/b/c/g/"},
      {"g/./h", "/b/c/g/h"},
      {"g/../h", "/b/c/h"},
      {"g;x=1/./y", "/b/c/g;x=1/y"},
      {"g;x=1/../y", "/b/c/y"},
      {"g?y/./x", "/b/c/g?y/./x"},
      {"g?y/../x", "/b/c/g?y/../x"},
      {"g#s/../x", "/b/c/g"},
      // and ours
      {"//g", "//g"},
      {"/a//b", "/a//b"},
      {"/a//../b", "/a/b"},
      {"g//h", "/b/c/g//h"},
      {"/a b", "/a%20b"},
      {"/\xc3\xbc?\xc3\xbc c", "/%C3%BC?%C3%BC%20c"},
      {"//g/a//b/../c", "//g/a//c"},
      {"/x?a#b c", "/x?a"},
  };
  for (const auto& [reference, expected] : rows) {
    const std::string wanted = (std::string(expected).starts_with("//g") ? "http:" : "http://a");
    EXPECT_EQ(base.resolve(reference), wanted + expected) << reference;
  }
  EXPECT_EQ(base.resolve("https://g/a/../b?c/../d"), "https://g/b?c/../d");
  EXPECT_EQ(base.resolve("HTTP://g"), "HTTP://g");
  const url zoned = url::parse("http://[fe80::1%25eth0]/x", error);
  EXPECT_EQ(zoned.resolve("y"), "http://[fe80::1%25eth0]/y");
}

TEST(http_client_edges, redirects_keep_what_they_may) {
  with_procs(2, [] {
    world w([](request& r, response_writer& out) {
      const std::string_view path = r.path();
      if (path == "/relative") out.header().set("Location", "/a//b c\xc3\xbc");
      if (path == "/absolute") out.header().set("Location", "http://h/to");
      if (path == "/network") out.header().set("Location", "//h/to");
      if (out.header().has("Location")) return out.write_header(302);
      out.write(std::string(r.host()) + " " + std::string(r.target()));
    });
    client_request r{.url = "http://h/relative"};
    r.header.set("Host", "own.example");
    EXPECT_EQ(w.ask.do_(r).body(), "own.example /a//b%20c%C3%BC");
    r.url = "http://h/absolute";
    EXPECT_EQ(w.ask.do_(r).body(), "h /to");
    r.url = "http://h/network";
    EXPECT_EQ(w.ask.do_(r).body(), "h /to");
  });
}

TEST(http_client_edges, a_zone_is_for_dialing_alone) {
  scripted s("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  s.ask.get("http://[fe80::1%25eth0]:81/");
  EXPECT_EQ(s.addresses, std::vector<std::string>{"[fe80::1%eth0]:81"});
  EXPECT_NE(s.sent.find("\r\nHost: [fe80::1]:81\r\n"), std::string::npos) << s.sent;
}

}  // namespace
}  // namespace gort::http
