// The client against our server, over in-memory pipes: reuse of connections, redirects, streaming,
// timeouts, retries.
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

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

TEST(http_client, urls) {
  std::error_code error;
  const auto parsed = [&](const char* text) {
    const url u = url::parse(text, error);
    return error ? "bad" : u.host + " " + u.host_field + " " + u.address + " " + u.target;
  };
  EXPECT_EQ(parsed("http://h"), "h h h:80 /");
  EXPECT_EQ(parsed("HTTPS://h?q#f"), "h h h:443 /?q");
  EXPECT_EQ(parsed("http://h:8080/a/b?c#d"), "h h:8080 h:8080 /a/b?c");
  EXPECT_EQ(parsed("http://[::1]:81/"), "::1 [::1]:81 [::1]:81 /");
  EXPECT_EQ(parsed("http://[::1]/"), "::1 [::1] [::1]:80 /");
  for (const char* bad :
       {"", "h", "ftp://h/", "http://", "http:///x", "http://u@h/", "http://h/a b",
        "http://h:99999/", "http://h:x/", "http://[::1/", "http://h/\r\nX: y"}) {
    EXPECT_EQ(parsed(bad), "bad") << bad;
  }
  const url from = url::parse("http://h:1/a/b?q", error);
  EXPECT_EQ(from.resolve("c"), "http://h:1/a/c");
  EXPECT_EQ(from.resolve("../c?d"), "http://h:1/c?d");
  EXPECT_EQ(from.resolve("/c"), "http://h:1/c");
  EXPECT_EQ(from.resolve("?z"), "http://h:1/a/b?z");
  EXPECT_EQ(from.resolve("//g/c"), "http://g/c");
  EXPECT_EQ(from.resolve("https://g/c"), "https://g/c");
}

TEST(http_client, gets_and_reuses_its_connection) {
  with_procs(2, [] {
    world w([](request& r, response_writer& out) {
      out.header().set("X-Path", r.path());
      if (r.path() == "/long")
        out.write(std::string(100'000, 'x'));
      else
        out.write("hello");
    });
    for (int i = 0; i < 3; ++i) {
      response r = w.ask.get("http://h/a");
      EXPECT_EQ(r.status(), 200);
      EXPECT_EQ(r.header("x-path"), "/a");
      EXPECT_EQ(r.content_length(), 5u);
      EXPECT_EQ(r.reused_connection(), i != 0);
      EXPECT_EQ(r.body(), "hello");
      EXPECT_EQ(r.body(), "");
      EXPECT_EQ(r.header("x-path"), "/a") << "the fields outlive the connection's use";
    }
    response r = w.ask.get("http://h/long");
    EXPECT_FALSE(r.content_length());
    EXPECT_EQ(r.body().size(), 100'000u);
    EXPECT_EQ(w.ask.head("http://h/a").content_length(), 5u);
    EXPECT_EQ(w.addresses, std::vector<std::string>{"h:80"});
    w.ask.get("http://h:81/").body();
    EXPECT_EQ(w.addresses.size(), 2u);
  });
}

TEST(http_client, a_response_that_is_dropped_closes_its_connection) {
  with_procs(2, [] {
    world w([](request&, response_writer& out) { out.write(std::string(100'000, 'x')); });
    { response r = w.ask.get("http://h/"); }
    EXPECT_FALSE(w.ask.get("http://h/").reused_connection());
    response r = w.ask.get("http://h/");
    try {
      r.body(1000);
      ADD_FAILURE() << "more than the limit";
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code(), errc::body_too_large);
    }
  });
}

TEST(http_client, bodies_go_up_by_length_and_chunked) {
  with_procs(2, [] {
    world w([](request& r, response_writer& out) {
      out.header().set("X-Length",
                       r.content_length() ? std::to_string(*r.content_length()) : "none");
      out.header().set("X-Type", r.header("Content-Type"));
      out.write(std::to_string(r.body().size()));
    });
    response small = w.ask.post("http://h/", "text/x", "abc");
    EXPECT_EQ(small.header("X-Length"), "3");
    EXPECT_EQ(small.header("X-Type"), "text/x");
    EXPECT_EQ(small.body(), "3");
    EXPECT_EQ(w.ask.post("http://h/", "text/x", std::string(300'000, 'x')).body(), "300000");
    const auto reader_of = [](std::size_t total) {
      return [left = total](std::span<std::byte> into) mutable {
        const std::size_t n = std::min(left, into.size());
        std::fill_n(into.begin(), n, std::byte{'y'});
        left -= n;
        return n;
      };
    };
    response chunked =
        w.ask.do_({.method = "PUT", .url = "http://h/", .body_reader = reader_of(100'000)});
    EXPECT_EQ(chunked.header("X-Length"), "none");
    EXPECT_EQ(chunked.body(), "100000");
    response sized = w.ask.do_({.method = "PUT",
                                .url = "http://h/",
                                .body_reader = reader_of(100'000),
                                .content_length = 70'000});
    EXPECT_EQ(sized.header("X-Length"), "70000");
    EXPECT_EQ(sized.body(), "70000");
    EXPECT_TRUE(failure(
        w.ask,
        {.method = "PUT", .url = "http://h/", .body_reader = reader_of(10), .content_length = 20}));
    EXPECT_EQ(w.addresses.size(), 1u) << "all of them shared a connection";
  });
}

/// Writes return a while after what they wrote has gone out.
class late_stream final : public test::forwarding_stream {
 public:
  using forwarding_stream::forwarding_stream;
  std::size_t write(std::span<const std::byte> from, std::error_code& error) override {
    const std::size_t n = forwarding_stream::write(from, error);
    gort::sleep(2ms);
    return n;
  }
};

TEST(http_client, a_connection_is_kept_when_the_answer_overtakes_the_end_of_the_last_write) {
  with_procs(2, [] {
    server serve([](request& r, response_writer& out) { out.write(r.body()); });
    wait_group connections;
    int dialed = 0;
    client ask({.dial = [&](const context&, const std::string&, std::error_code&) {
      ++dialed;
      auto pipe = test::make_pipe();
      connections.go([&, end = pipe.server.release()] {
        serve.serve_connection(std::unique_ptr<stream>(end));
      });
      return std::make_unique<late_stream>(std::move(pipe.client));
    }});
    for (const std::optional<std::uint64_t> length : {std::optional<std::uint64_t>(3), {}}) {
      response r =
          ask.do_({.method = "PUT",
                   .url = "http://h/",
                   .body_reader = [left = 3](std::span<std::byte> into) mutable -> std::size_t {
                     if (left-- == 0) return 0;
                     into[0] = std::byte{'x'};
                     return 1;
                   },
                   .content_length = length});
      EXPECT_EQ(r.body(), "xxx");
    }
    const std::string large(200'000, 'y');
    EXPECT_EQ(ask.post("http://h/", "t", large).body(), large);
    EXPECT_EQ(ask.get("http://h/").body(), "");
    EXPECT_EQ(dialed, 1);
    ask.close_idle_connections();
    serve.close();
    connections.wait();
  });
}

TEST(http_client, an_answer_may_come_while_the_body_goes_up) {
  with_procs(2, [] {
    world w([](request& r, response_writer& out) {
      std::byte buffer[1000];
      while (const std::size_t n = r.read(buffer)) {
        out.write(std::span<const std::byte>(buffer, n));
        out.flush();
      }
    });
    auto words = make_chan<std::string>();
    response r = w.ask.do_(
        {.method = "POST",
         .url = "http://h/",
         .body_reader = [words, first = true](std::span<std::byte> into) mutable -> std::size_t {
           if (std::exchange(first, false)) {
             into[0] = std::byte{'!'};
             return 1;
           }
           const auto word = words.recv();
           if (!word) return 0;
           std::memcpy(into.data(), word->data(), word->size());
           return word->size();
         }});
    std::byte buffer[100];
    EXPECT_EQ(r.read(buffer), 1u);
    for (const std::string word : {"one", "two"}) {
      words.send(word);
      EXPECT_EQ(test::text_of(std::span<const std::byte>(buffer, r.read(buffer))), word);
    }
    words.close();
    EXPECT_EQ(r.read(buffer), 0u);
  });
}

TEST(http_client, follows_redirects) {
  with_procs(2, [] {
    world w([](request& r, response_writer& out) {
      const std::string_view path = r.path();
      if (path == "/loop") return redirect(r, out, "/loop");
      if (path == "/302") return redirect(r, out, "to?x=1", 302);
      if (path == "/307") return redirect(r, out, "/to", 307);
      if (path == "/away") return redirect(r, out, "http://other/to", 302);
      out.write(std::string(r.method()) + " " + std::string(r.target()) + " " +
                std::string(r.host()) + " " + std::string(r.header("Authorization")) + " " +
                r.body());
    });
    response get = w.ask.get("http://h/302");
    EXPECT_EQ(get.url(), "http://h/to?x=1");
    EXPECT_EQ(get.body(), "GET /to?x=1 h  ");
    EXPECT_EQ(w.ask.post("http://h/302", "t", "b").body(), "GET /to?x=1 h  ");
    EXPECT_EQ(w.ask.post("http://h/307", "t", "b").body(), "POST /to h  b");
    client_request secret{.url = "http://h/302"};
    secret.header.set("Authorization", "s");
    EXPECT_EQ(w.ask.do_(secret).body(), "GET /to?x=1 h s ");
    secret.url = "http://h/away";
    EXPECT_EQ(w.ask.do_(secret).body(), "GET /to other  ") << "not for another host";
    EXPECT_EQ(failure(w.ask, {.url = "http://h/loop"}), errc::too_many_redirects);
    EXPECT_EQ(
        w.ask.do_({.method = "POST", .url = "http://h/307", .body_reader = [](auto) { return 0; }})
            .status(),
        307)
        << "the body cannot be sent again";
  });
}

TEST(http_client, timeouts_and_cancellation) {
  with_procs(2, [] {
    auto never = make_chan<unit>();
    const handler silent = [&](request& r, response_writer& out) {
      if (r.path() == "/body") {
        out.write("some");
        out.flush();
      }
      never.recv();
    };
    world hasty(silent, {.timeout = 20ms});
    EXPECT_EQ(failure(hasty.ask, {.url = "http://h/"}), context_error::deadline_exceeded);
    world patient(silent, {.timeout = 3s});  // in which the beginning of an answer must come
    response r = patient.ask.get("http://h/body");
    try {
      r.body();
      ADD_FAILURE() << "the body never ends";
    } catch (const std::system_error& e) {
      EXPECT_EQ(e.code(), context_error::deadline_exceeded);
    }
    world w(silent);
    auto [ctx, cancel] = with_cancel(background());
    go([&cancel = cancel] {
      gort::sleep(2ms);
      cancel();
    });
    EXPECT_EQ(failure(w.ask, {.url = "http://h/"}, ctx), context_error::canceled);
    EXPECT_EQ(failure(w.ask, {.url = "http://h/"}, ctx), context_error::canceled);
    r = w.ask.get(with_timeout(background(), 1h).ctx, "http://h/body");
    never.close();
    EXPECT_EQ(r.body(), "some") << "not cancelled with the temporary";
  });
}

TEST(http_client, response_header_timeout) {
  with_procs(2, [] {
    auto proceed = make_chan<unit>();
    world w([&](request&, response_writer&) { proceed.recv(); }, {.response_header_timeout = 10ms});
    EXPECT_EQ(failure(w.ask, {.url = "http://h/"}), std::errc::timed_out);
    proceed.close();
  });
}

TEST(http_client, the_longest_times_are_long) {
  with_procs(2, [] {
    constexpr auto longest = std::chrono::nanoseconds::max();
    world w([](request& r, response_writer& out) { out.write(r.body()); },
            {.timeout = longest,
             .dial_timeout = longest,
             .response_header_timeout = longest,
             .idle_timeout = longest});
    for (int i = 0; i < 2; ++i)
      EXPECT_EQ(w.ask.do_({.method = "PUT", .url = "http://h/", .body = "abc"}).body(), "abc");
  });
}

TEST(http_client, refuses_bad_requests_and_bad_answers) {
  EXPECT_EQ(failure(*std::make_unique<client>(), {.url = "ftp://h/"}), errc::bad_url);
  client plain;
  EXPECT_EQ(failure(plain, {.method = "G T", .url = "http://h/"}), std::errc::invalid_argument);
  struct row {
    const char* answer;
    std::error_code expected;
  };
  const std::string long_field(5000, 'x');
  const std::string long_head = "HTTP/1.1 200 OK\r\nA: " + long_field + "\r\n\r\n";
  const std::vector<row> rows{
      {"", errc::unexpected_eof},
      {"HTTP/1.1 200", errc::unexpected_eof},
      {"rubbish\r\n\r\n", errc::malformed},
      {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {}},
      {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", errc::malformed},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", errc::malformed},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", errc::unexpected_eof},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", errc::unexpected_eof},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab", errc::malformed},
      {long_head.c_str(), errc::header_too_large},
      {"HTTP/1.1 200 OK\r\n\r\nuntil the end", {}},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"
       "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
       {}},
  };
  for (const row& each : rows) {
    std::string sent;
    client c({.max_header_bytes = 4096,
              .dial = [&](const context&, const std::string&, std::error_code&) {
                return std::make_unique<test::script_stream>(each.answer, sent);
              }});
    std::error_code error;
    response r = c.do_(background(), {.url = "http://h/x"}, error);
    std::byte buffer[100];
    while (!error && r.read(buffer, error) != 0) {
    }
    EXPECT_EQ(error, each.expected) << each.answer;
    EXPECT_EQ(sent, "GET /x HTTP/1.1\r\nHost: h\r\nUser-Agent: gort\r\n\r\n");
  }
}

// The server hangs up on an idle connection just when the next request is sent.
TEST(http_client, retries_what_may_be_repeated_on_a_dead_connection) {
  int dialed = 0;
  std::string sent;
  client c({.dial = [&](const context&, const std::string&, std::error_code&) {
    ++dialed;
    // The second request on it finds the end.
    return std::make_unique<test::script_stream>("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                                                 sent);
  }});
  EXPECT_EQ(c.get("http://h/").status(), 200);
  response again = c.get("http://h/");
  EXPECT_EQ(again.status(), 200);
  EXPECT_FALSE(again.reused_connection());
  EXPECT_EQ(dialed, 2);
  EXPECT_EQ(failure(c, {.method = "POST", .url = "http://h/"}), errc::unexpected_eof);
  EXPECT_EQ(dialed, 2);
}

TEST(http_client, pool_is_bounded_and_forgets) {
  with_procs(2, [] {
    world w([](request&, response_writer& out) { out.write("x"); },
            {.idle_timeout = 5ms, .max_idle_per_host = 1});
    {
      response a = w.ask.get("http://h/");
      response b = w.ask.get("http://h/");
      a.body(), b.body();
    }
    // The server sees what the client drops.
    while (w.serve.connections() != 0) gort::sleep(1ms);
    EXPECT_FALSE(w.ask.get("http://h/").reused_connection());
  });
}

}  // namespace
}  // namespace gort::http
