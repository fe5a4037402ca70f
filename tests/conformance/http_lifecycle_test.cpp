// Exceptions, middleware, slow clients, shutdown.
#include <chrono>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gort/go.hpp>
#include <gort/http.hpp>
#include <gort/net.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "support/http_streams.hpp"
#include "support/http_talk.hpp"
#include "support/net_support.hpp"
#include "support/run.hpp"

namespace gort::http {
namespace {

using namespace std::chrono_literals;
using test::answer;
using test::get;
using test::log_lines;
using test::post;
using test::talk;
using test::with_procs;
using test::without_date;

TEST(http_lifecycle, an_exception_becomes_500_and_is_logged) {
  server_options o;
  log_lines log;
  log.install(o);
  server s(
      [](request& r, response_writer& w) {
        if (r.path() == "/std") throw std::runtime_error("broken");
        if (r.path() == "/int") throw 7;
        if (r.path() == "/abort") throw abort_handler();
        if (r.path() == "/late") {
          w.write(std::string(5000, 'x'));
          throw std::runtime_error("late");
        }
        w.header().set("X-Partial", "1");
        w.write("partial");
        throw std::runtime_error("after a write");
      },
      o);
  const auto ask = [&](const std::string& path) {
    return without_date(answer(s, "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"));
  };
  EXPECT_TRUE(ask("/std").starts_with("HTTP/1.1 500 Internal Server Error\r\n"));
  EXPECT_TRUE(ask("/int").starts_with("HTTP/1.1 500 Internal Server Error\r\n"));
  EXPECT_EQ(ask("/abort"), "");
  const std::string late = ask("/late");
  EXPECT_TRUE(late.starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_FALSE(late.ends_with("0\r\n\r\n")) << "the client must see that something is missing";
  const std::string partial = ask("/partial");
  EXPECT_TRUE(partial.starts_with("HTTP/1.1 500 ")) << partial;
  EXPECT_EQ(partial.find("X-Partial"), partial.npos);
  // What else is said of them: http_exception_test.
  std::string first_lines;
  for (std::size_t at = 0; (at = log.text.find("http: panic", at)) != log.text.npos;) {
    const std::size_t end = log.text.find('\n', at) + 1;
    first_lines += log.text.substr(at, end - at);
    at = end;
  }
  EXPECT_EQ(first_lines,
            "http: panic serving script: GET /std: broken\n"
            "http: panic serving script: GET /int: 7\n"
            "http: panic serving script: GET /late: late\n"
            "http: panic serving script: GET /partial: after a write\n");
}

TEST(http_lifecycle, goexit_in_a_handler_ends_the_connection_only) {
  with_procs(2, [] {
    server s([](request& r, response_writer& w) {
      if (r.path() == "/exit") runtime::goexit();
      w.write("ok");
    });
    {
      talk t(s);
      t.say("GET /exit HTTP/1.1\r\nHost: x\r\n\r\n");
      EXPECT_EQ(t.hear_all(), "");
    }
    talk t(s);
    t.say(get + "Connection: close\r\n\r\n");
    EXPECT_TRUE(t.hear_all().ends_with("ok"));
  });
}

TEST(http_lifecycle, middleware_is_composition) {
  const auto with_mark = [](std::string mark, handler next) -> handler {
    return [mark, next](request& r, response_writer& w) {
      w.header().add("X-Mark", mark);
      next(r, w);
      EXPECT_EQ(w.status(), 201);
      EXPECT_EQ(w.bytes_written(), 2u);
    };
  };
  static const context_key<int> key;
  const handler with_value_of_7 = [&](request& r, response_writer& w) {
    r.set_context(with_value(r.context(), key, 7));
    EXPECT_EQ(*r.context().value(key), 7);
    w.write_header(status::created);
    w.write("ok");
  };
  server s(with_mark("a", with_mark("b", with_value_of_7)));
  const std::string out = answer(s, get + "\r\n");
  EXPECT_NE(out.find("X-Mark: a\r\nX-Mark: b\r\n"), out.npos) << out;
}

// --- slow clients

struct slow_row {
  const char* name;
  std::string said;
  std::string expected;
};

TEST(http_lifecycle, slow_clients_are_timed_out) {
  const std::vector<slow_row> rows{
      {"silent", "", ""},
      {"in the request line", "GET / HT", "HTTP/1.1 408 Request Timeout\r\n"},
      {"in the header", "GET / HTTP/1.1\r\nHost: x\r\n", "HTTP/1.1 408 Request Timeout\r\n"},
      {"in the body", post + "Content-Length: 5\r\n\r\nab", "HTTP/1.1 408 Request Timeout\r\n"},
      {"in a chunk", post + "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
       "HTTP/1.1 408 Request Timeout\r\n"},
      {"between requests", get + "\r\n", "HTTP/1.1 200 OK\r\n"},
  };
  server_options o;
  o.read_header_timeout = 50ms;
  o.read_stall_timeout = 50ms;
  o.idle_timeout = 50ms;
  o.log = [](std::string_view line) { ADD_FAILURE() << line; };
  with_procs(2, [&] {
    server s([](request& r, response_writer& w) { w.write(r.body()); }, o);
    for (const slow_row& r : rows) {
      talk t(s, r.said);
      const std::string out = t.hear_all();  // the end: the server has hung up
      EXPECT_EQ(out.substr(0, out.find("\r\n") + 2 * !out.empty()), r.expected) << r.name;
    }
  });
}

// Says something and then one byte after another, each well within the time for a silence.
std::string dribble(server& s, const std::string& first, const std::string& rest) {
  talk t(s, first);
  wait_group saying;
  saying.go([&] {
    std::error_code error;
    for (std::size_t i = 0; !error; ++i) {
      const auto one = static_cast<std::byte>(rest[i % rest.size()]);
      t.end().write({&one, 1}, error);
      gort::sleep(2ms);
    }
  });
  const std::string out = t.hear_all();
  t.end().close();
  saying.wait();
  return out;
}

TEST(http_lifecycle, clients_that_dribble_are_timed_out) {
  server_options o;
  o.read_header_timeout = 500ms;
  o.read_stall_timeout = 500ms;
  o.min_body_rate = 100'000;
  const std::string late = "HTTP/1.1 408 Request Timeout\r\n";
  with_procs(2, [&] {
    server s([](request& r, response_writer& w) { w.write(r.body()); }, o);
    EXPECT_TRUE(dribble(s, "GET / HTTP/1.1\r\n", "A: b\r\n").starts_with(late));
    // Blank lines only: too many of them, or, where they come more slowly, no request at all.
    const std::string blank = dribble(s, "", "\r\n");
    EXPECT_TRUE(blank.empty() || blank.starts_with("HTTP/1.1 40")) << blank;
    EXPECT_TRUE(dribble(s, post + "Content-Length: 1000000\r\n\r\n", "x").starts_with(late));
    EXPECT_TRUE(
        dribble(s, post + "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n").starts_with(late));
  });
}

TEST(http_lifecycle, a_new_connection_may_not_be_silent_for_long) {
  server_options o;
  o.read_header_timeout = 20ms;
  o.idle_timeout = 1h;
  with_procs(2, [&] {
    server s([](request&, response_writer&) {}, o);
    talk t(s);
    EXPECT_EQ(t.hear_all(), "");
    // And the other way round: what is short for an idle one does not count before it has asked.
    o.read_header_timeout = 1h;
    o.idle_timeout = 1ms;
    server patient([](request&, response_writer& w) { w.write("ok"); }, o);
    talk late(patient);
    gort::sleep(20ms);
    late.say(get + "\r\n");
    EXPECT_TRUE(late.hear_all().ends_with("ok"));
  });
}

// Limits are there without being asked for; the figures are documented.
TEST(http_lifecycle, limits_are_on_by_default) {
  const server_options o;
  EXPECT_EQ(o.read_header_timeout, 10s);
  EXPECT_EQ(o.read_stall_timeout, 30s);
  EXPECT_EQ(o.write_stall_timeout, 30s);
  EXPECT_EQ(o.idle_timeout, 120s);
  EXPECT_EQ(o.min_body_rate, 240u);
  EXPECT_EQ(o.max_header_bytes, std::size_t{1} << 20);
  EXPECT_EQ(o.max_body_bytes, std::uint64_t{32} << 20);
  EXPECT_EQ(o.max_connections, 100'000u);
  EXPECT_EQ(o.max_header_fields, 500u);
  EXPECT_EQ(o.stack, std::size_t{2} << 20);
}

TEST(http_lifecycle, clients_that_do_not_read_are_timed_out) {
  server_options o;
  o.write_stall_timeout = 50ms;
  with_procs(2, [&] {
    std::error_code seen;
    wait_group handled;
    handled.add(1);
    server s(
        [&](request&, response_writer& w) {
          const std::string much(std::size_t{1} << 20, 'x');
          while (!seen) w.write(much, seen);
          handled.done();
        },
        o);
    net::listener l = net::listen("127.0.0.1:0");
    net::conn c;
    wait_group serving;
    serving.go([&] { s.serve_connection(make_stream(l.accept())); });
    c = net::dial(background(), l.local_endpoint().to_string());
    c.write(test::bytes_of(get + "\r\n"));
    handled.wait();
    EXPECT_EQ(seen, std::errc::timed_out);
    serving.wait();
  });
}

/// Becomes readable, and says that the time is over when it is then read: every second time.
class late_stream final : public test::forwarding_stream {
 public:
  using forwarding_stream::forwarding_stream;
  std::size_t read(std::span<std::byte> into, std::error_code& error) override {
    if (reads_++ % 2 == 0) return forwarding_stream::read(into, error);
    error = net::errc::timed_out;
    return 0;
  }

 private:
  int reads_ = 0;
};

// The time after which an idle connection trims its stack may pass just when a request comes.
TEST(http_lifecycle, a_request_is_not_lost_to_the_trimming_of_the_stack) {
  with_procs(2, [] {
    server s([](request&, response_writer& w) { w.write("ok"); });
    auto pipe = test::make_pipe();
    wait_group serving;
    serving.go([&, end = pipe.server.release()] {
      s.serve_connection(std::make_unique<late_stream>(std::unique_ptr<stream>(end)));
    });
    std::error_code error;
    std::byte buffer[1000];
    for (int i = 0; i < 3; ++i) {
      pipe.client->write(test::bytes_of(get + "\r\n"), error);
      const std::size_t got = pipe.client->read(buffer, error);
      EXPECT_TRUE(test::text_of(std::span(buffer).first(got)).ends_with("ok")) << i;
    }
    pipe.client->close();
    serving.wait();
  });
}

TEST(http_lifecycle, read_timeout_covers_the_whole_request) {
  server_options o;
  o.read_timeout = 500ms;
  with_procs(2, [&] {
    server s([](request& r, response_writer& w) { w.write(r.body()); }, o);
    const std::string out = dribble(s, post + "Content-Length: 100000\r\n\r\n", "x");
    EXPECT_TRUE(out.starts_with("HTTP/1.1 408 ")) << out;
  });
}

// --- the end

TEST(http_lifecycle, shutdown_closes_the_idle_and_waits_for_the_active) {
  with_procs(2, [] {
    auto entered = make_chan<unit>();
    auto proceed = make_chan<unit>();
    server s([&](request& r, response_writer& w) {
      if (r.path() == "/slow") {
        entered.send({});
        proceed.recv();
      }
      w.write("done");
    });
    talk idle(s);
    idle.say(get + "\r\n");
    EXPECT_TRUE(idle.hear("done").ends_with("done"));
    talk fresh(s);
    talk active(s);
    active.say("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    entered.recv();
    while (s.connections() != 3) gort::sleep(1ms);

    auto [ctx, cancel] = with_timeout(background(), 20ms);
    EXPECT_EQ(s.shutdown(ctx), context_error::deadline_exceeded);
    EXPECT_EQ(idle.hear_all(), "");
    EXPECT_EQ(fresh.hear_all(), "");
    while (s.connections() != 1) gort::sleep(1ms);  // they are closed, and leave a moment later
    auto stopped = make_chan<std::error_code>();
    go([&, stopped] { stopped.send(s.shutdown(background())); });
    proceed.send({});
    const std::string out = active.hear_all();
    EXPECT_TRUE(out.ends_with("done")) << out;
    EXPECT_NE(out.find("Connection: close\r\n"), out.npos);
    EXPECT_EQ(*stopped.recv(), std::error_code());
    EXPECT_EQ(s.connections(), 0u);
  });
}

// An ordinary request is answered as ever, a stream ends in order.
TEST(http_lifecycle, shutdown_can_end_streams) {
  with_procs(2, [] {
    auto stopping = make_chan<unit>();
    auto entered = make_chan<unit>();
    auto proceed = make_chan<unit>();
    server s([&](request& r, response_writer& w) {
      entered.send({});
      if (r.path() == "/stream") {
        event_stream events(w);
        stopping.recv();
        events.send({.data = "bye"});
      } else {
        proceed.recv();
        EXPECT_FALSE(r.context().err());
        w.write("done");
      }
    });
    s.register_on_shutdown([&] { stopping.close(); });
    s.register_on_shutdown([&] { proceed.close(); });
    talk streaming(s);
    streaming.say("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    talk asking(s);
    asking.say(get + "\r\n");
    entered.recv();
    entered.recv();
    EXPECT_EQ(s.shutdown(background()), std::error_code());  // for ever, if nobody tells them
    EXPECT_TRUE(streaming.hear_all().ends_with("data: bye\n\n\r\n0\r\n\r\n"));
    EXPECT_TRUE(asking.hear_all().ends_with("done"));
  });
}

TEST(http_lifecycle, close_breaks_active_connections_and_cancels_contexts) {
  with_procs(2, [] {
    auto entered = make_chan<unit>();
    std::error_code seen;
    std::string out;
    {
      server s([&](request& r, response_writer& w) {
        entered.send({});
        r.context().done().recv();
        w.write(std::string(5000, 'x'), seen);
        w.flush(seen);
      });
      talk t(s);
      t.say(get + "\r\n");
      entered.recv();
      s.close();
      out = t.hear_all();
    }  // the destructor waits for the handler
    EXPECT_EQ(out, "");
    EXPECT_TRUE(seen);
  });
}

TEST(http_lifecycle, works_from_plain_threads) {
  server s([](request& r, response_writer& w) { w.write(r.path()); });
  EXPECT_TRUE(answer(s, "GET /t HTTP/1.1\r\nHost: x\r\n\r\n").ends_with("/t"));
  s.close();
  EXPECT_EQ(s.shutdown(background()), std::error_code());
}

}  // namespace
}  // namespace gort::http
