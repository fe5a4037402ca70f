// What a handler gets: the parts of a request, its body as it comes, pipelining.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <gort/go.hpp>
#include <gort/http.hpp>
#include <gort/time.hpp>

#include "support/http_streams.hpp"
#include "support/http_talk.hpp"
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

TEST(http_request, request_fields) {
  server s([](request& r, response_writer& w) {
    w.write(std::string(r.method()) + "|" + std::string(r.target()) + "|" + std::string(r.path()) +
            "|" + std::string(r.raw_path()) + "|" + std::string(r.query()) + "|" +
            r.query_value("k") + "|" + r.query_value("l m") + "|" + std::string(r.host()) + "|" +
            std::string(r.header("a-field")) + "|" +
            std::to_string(r.header().values("A-Field").size()));
  });
  EXPECT_TRUE(
      answer(s,
             "GET /a%20b/c?x=1&k=v%21+w&k=2&l+m=n HTTP/1.1\r\nHost: h:1\r\nA-Field: "
             "one \r\nA-FIELD:two\r\n\r\n")
          .ends_with("GET|/a%20b/c?x=1&k=v%21+w&k=2&l+m=n|/a b/c|/a%20b/c|x=1&k=v%21+w&k=2&l+m=n|"
                     "v! w|n|h:1|one|2"));
  EXPECT_TRUE(answer(s, "GET http://other/p HTTP/1.1\r\nHost: h\r\n\r\n")
                  .ends_with("GET|http://other/p|/p|/p||||other||0"));
}

TEST(http_request, fields_that_have_been_moved_away_leave_room_for_others) {
  headers from;
  from.set("A", "one");
  headers to = std::move(from);
  from.set("B", "two");
  EXPECT_EQ(to.get("a"), "one");
  EXPECT_EQ(from.get("b"), "two");
  EXPECT_EQ(from.size(), 1u);
  to = std::move(from);
  from.add("C", "three");
  to.add("D", to.get("b"));
  EXPECT_EQ(to.get("d"), "two");
  EXPECT_FALSE(to.has("a"));
  EXPECT_EQ(from.get("c"), "three");
}

TEST(http_request, bodies_stream_in_while_the_response_streams_out) {
  with_procs(2, [] {
    server s([](request& r, response_writer& w) {
      std::byte buffer[64];
      while (const std::size_t n = r.read(buffer)) {
        w.write(std::span<const std::byte>(buffer, n));
        w.flush();
      }
    });
    talk t(s);
    t.say(post + "Transfer-Encoding: chunked\r\n\r\n");
    for (const char* word : {"one", "two", "six"}) {
      t.say(std::string("3\r\n") + word + "\r\n");
      EXPECT_TRUE(
          t.hear(std::string(word) + "\r\n").ends_with(std::string("3\r\n") + word + "\r\n"));
    }
    t.say("0\r\n\r\n" + get + "Connection: close\r\n\r\n");
    const std::string rest = t.hear_all();
    EXPECT_TRUE(rest.starts_with("0\r\n\r\nHTTP/1.1 200 OK\r\n")) << rest;
  });
}

TEST(http_request, continue_is_sent_when_the_handler_reads) {
  with_procs(1, [] {
    bool read = false;
    server s([&](request& r, response_writer& w) {
      if (r.path() == "/read")
        read = true, w.write(r.body());
      else
        error(w, "no", 403);
    });
    {
      talk t(s);
      t.say("POST /read HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
      EXPECT_EQ(t.hear("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
      t.say("ab");
      EXPECT_TRUE(t.hear("ab").ends_with("\r\n\r\nab"));
      t.end().close();
    }
    talk t(s);
    t.say("POST /no HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    const std::string out = t.hear_all();
    EXPECT_TRUE(out.starts_with("HTTP/1.1 403 Forbidden\r\n")) << out;
    EXPECT_NE(out.find("Connection: close\r\n"), out.npos)
        << "whether it sends the body is unknown";
    EXPECT_TRUE(read);
  });
}

TEST(http_request, bodies_that_the_handler_leaves_are_read_away) {
  server s([](request& r, response_writer& w) { w.write(r.path()); });
  const auto with_body = [](std::size_t n) {
    return "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(n) + "\r\n\r\n" +
           std::string(n, 'x') + "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n";
  };
  EXPECT_TRUE(answer(s, with_body(100'000)).ends_with("/2"));
  const std::string out = answer(s, with_body(1'000'000));
  EXPECT_TRUE(out.ends_with("/1")) << "too much to read";
  EXPECT_NE(out.find("Connection: close\r\n"), out.npos);
}

TEST(http_request, the_longest_times_are_long) {
  with_procs(2, [] {
    server_options o;
    o.read_header_timeout = o.read_stall_timeout = o.write_stall_timeout = o.idle_timeout =
        std::chrono::nanoseconds::max();
    for (const auto all : {0ns, std::chrono::nanoseconds::max()}) {
      o.read_timeout = o.write_timeout = all;
      server s([](request& r, response_writer& w) { w.write(std::to_string(r.body().size())); }, o);
      talk t(s);
      t.say(post + "Content-Length: 10000\r\n\r\n" + std::string(9000, 'x'));
      gort::sleep(1ms);  // the rest of the body is waited for
      t.say(std::string(1000, 'x'));
      EXPECT_TRUE(t.hear("10000").ends_with("\r\n\r\n10000"));
    }
  });
}

TEST(http_request, body_limit_can_be_changed_by_the_handler) {
  server_options o;
  o.max_body_bytes = 10;
  server s(
      [](request& r, response_writer& w) {
        if (r.path() == "/more") r.limit_body(20);
        w.write(std::to_string(r.body().size()));
      },
      o);
  const auto with_body = [&](const std::string& path, std::size_t n) {
    return answer(s, "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " +
                         std::to_string(n) + "\r\n\r\n" + std::string(n, 'x'))
        .substr(9, 3);
  };
  EXPECT_EQ(with_body("/", 10), "200");
  EXPECT_EQ(with_body("/", 11), "413");
  EXPECT_EQ(with_body("/more", 20), "200");
  EXPECT_EQ(with_body("/more", 21), "413");
}

/// Counts what reaches the wire.
struct noting_stream final : test::simple_stream {
  struct notes {
    std::string in, out;
    std::size_t largest_write = 0;
  };
  explicit noting_stream(notes& n) noexcept : noted(n) {}
  std::size_t read(std::span<std::byte> into, std::error_code& error) override {
    error.clear();
    const std::size_t n = std::min(into.size(), noted.in.size());
    std::memcpy(into.data(), noted.in.data(), n);
    noted.in.erase(0, n);
    return n;
  }
  void wait_readable(std::error_code& error) override { error.clear(); }
  using simple_stream::write_vectored;
  std::size_t write(std::span<const std::byte> from, std::error_code& error) override {
    error.clear();
    noted.largest_write = std::max(noted.largest_write, from.size());
    noted.out += test::text_of(from);
    return from.size();
  }
  void close_write(std::error_code& error) override { error.clear(); }
  void close() noexcept override {}
  void set_read_deadline(time_point) override {}
  std::string remote_address() const override { return "x"; }
  notes& noted;
};

TEST(http_request, a_finished_response_is_sent_before_the_next_handler_runs) {
  noting_stream::notes noted;
  server s([&](request& r, response_writer& w) {
    const std::string before = r.query_value("after");
    EXPECT_TRUE(before.empty() || noted.out.ends_with(before)) << r.target();
    w.write(r.path());
  });
  noted.in = "GET /0 HTTP/1.1\r\nHost: x\r\n\r\n";
  for (int i = 1; i < 20; ++i) {
    noted.in += "GET /" + std::to_string(i) + "?after=/" + std::to_string(i - 1) +
                " HTTP/1.1\r\nHost: x\r\n\r\n";
  }
  s.serve_connection(std::make_unique<noting_stream>(noted));
  EXPECT_TRUE(noted.out.ends_with("/19"));
}

// A large header has made the input buffer large, so many small requests fit into it.
TEST(http_request, responses_that_the_client_does_not_read_do_not_gather) {
  noting_stream::notes noted;
  server s([](request&, response_writer& w) { w.write(std::string(4000, 'x')); });
  noted.in = get + "A: " + std::string(500'000, 'a') + "\r\n\r\n";
  for (int i = 0; i < 2000; ++i) noted.in += get + "\r\n";
  s.serve_connection(std::make_unique<noting_stream>(noted));
  EXPECT_GT(noted.out.size(), 2000u * 4000);
  EXPECT_LT(noted.largest_write, 32'000u);
}

// With a cost per piece that grows with the body this takes many minutes.
TEST(http_request, a_body_costs_time_in_proportion_to_its_size) {
  server_options o;
  o.max_body_bytes = 0;
  server s([](request& r, response_writer& w) { w.write(std::to_string(r.body().size())); }, o);
  const std::size_t large = 17 << 20;
  std::string in =
      post + "Transfer-Encoding: chunked\r\n\r\n1100000\r\n" + std::string(large, 'y') + "\r\n";
  for (int i = 0; i < 500'000; ++i) in += "1\r\nx\r\n";
  EXPECT_TRUE(answer(s, in + "0\r\n\r\n").ends_with("\r\n\r\n" + std::to_string(large + 500'000)));
}

}  // namespace
}  // namespace gort::http
