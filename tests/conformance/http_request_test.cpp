// What a handler gets: the parts of a request, its body as it comes, pipelining.
#include <chrono>
#include <stdexcept>
#include <string>
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

TEST(http_request, pipelined_responses_share_a_write) {
  with_procs(1, [] {
    server s([](request& r, response_writer& w) { w.write(r.path()); });
    struct counting final : test::simple_stream {
      std::string in;
      int writes = 0;
      std::string out;
      std::size_t read(std::span<std::byte> into, std::error_code&) override {
        const std::size_t n = std::min(into.size(), in.size());
        std::memcpy(into.data(), in.data(), n);
        in.erase(0, n);
        return n;
      }
      void wait_readable(std::error_code&) override {}
      std::size_t write(std::span<const std::byte> from, std::error_code&) override {
        ++writes;
        out += test::text_of(from);
        return from.size();
      }
      void close_write(std::error_code&) override {}
      void close() noexcept override {}
      void set_read_deadline(time_point) override {}
      std::string remote_address() const override { return "x"; }
    };
    struct owner final : test::simple_stream {
      explicit owner(counting& c) : to(c) {}
      std::size_t read(std::span<std::byte> into, std::error_code& e) override {
        return to.read(into, e);
      }
      void wait_readable(std::error_code& e) override { to.wait_readable(e); }
      std::size_t write(std::span<const std::byte> from, std::error_code& e) override {
        return to.write(from, e);
      }
      void close_write(std::error_code& e) override { to.close_write(e); }
      void close() noexcept override {}
      void set_read_deadline(time_point) override {}
      std::string remote_address() const override { return "x"; }
      counting& to;
    };
    counting c;
    for (int i = 0; i < 20; ++i)
      c.in += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\n\r\n";
    s.serve_connection(std::make_unique<owner>(c));
    EXPECT_EQ(c.writes, 1);
    EXPECT_TRUE(c.out.ends_with("/19"));
  });
}

}  // namespace
}  // namespace gort::http
