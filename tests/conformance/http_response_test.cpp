// What a server sends: framing of bodies, fields, informational responses, events.
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

TEST(http_response, short_bodies_have_their_length) {
  server s([](request&, response_writer& w) {
    w.write("hello");
    w.write(" there");
  });
  EXPECT_EQ(without_date(answer(s, get + "\r\n")),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Content-Length: 11\r\n\r\nhello there");
}

TEST(http_response, date_is_well_formed) {
  server s([](request&, response_writer&) {});
  const std::string out = answer(s, get + "\r\n");
  const std::size_t at = out.find("Date: ");
  ASSERT_NE(at, out.npos);
  const std::string date = out.substr(at + 6, 29);
  EXPECT_EQ(date.substr(3, 2), ", ");
  EXPECT_EQ(date.substr(25), " GMT");
}

TEST(http_response, nothing_written_is_an_empty_200) {
  server s([](request&, response_writer&) {});
  EXPECT_EQ(without_date(answer(s, get + "\r\n")), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

TEST(http_response, long_bodies_are_chunked) {
  server s([](request&, response_writer& w) {
    w.write(std::string(4000, 'a'));
    w.write(std::string(4000, 'b'));
    w.write(std::string(10'000, 'c'));
  });
  EXPECT_EQ(without_date(answer(s, get + "\r\n")),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Transfer-Encoding: chunked\r\n\r\nfa0\r\n" +
                std::string(4000, 'a') + "\r\nfa0\r\n" + std::string(4000, 'b') + "\r\n2710\r\n" +
                std::string(10'000, 'c') + "\r\n0\r\n\r\n");
}

TEST(http_response, long_bodies_of_1_0_end_with_the_connection) {
  server s([](request&, response_writer& w) { w.write(std::string(5000, 'a')); });
  EXPECT_EQ(without_date(answer(s, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")),
            "HTTP/1.0 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Connection: close\r\n\r\n" +
                std::string(5000, 'a'));
}

TEST(http_response, a_declared_length_is_kept) {
  std::error_code last;
  server s([&](request&, response_writer& w) {
    w.header().set("Content-Length", "5");
    w.write("abc");
    w.write("de");
    w.write("f", last);
  });
  const std::string out = without_date(answer(s, get + "\r\n"));
  EXPECT_TRUE(out.ends_with("\r\nContent-Length: 5\r\n\r\nabcde")) << out;
  EXPECT_EQ(last, errc::content_length);
}

TEST(http_response, a_short_response_breaks_the_connection) {
  server s([](request&, response_writer& w) {
    w.header().set("Content-Length", "5");
    w.write("abc");
  });
  const std::string out = answer(s, get + "\r\n" + get + "\r\n");
  EXPECT_TRUE(out.ends_with("\r\n\r\nabc")) << out;
  EXPECT_EQ(out.find("HTTP/1.1", 1), out.npos) << "no second response may follow";
}

TEST(http_response, head_has_the_fields_and_no_body) {
  server s([](request& r, response_writer& w) {
    if (r.path() == "/long")
      w.write(std::string(5000, 'x'));
    else
      w.write("hello");
  });
  const std::string out = without_date(
      answer(s, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\nHEAD /long HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_EQ(out,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Content-Length: 5\r\n\r\n"
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Transfer-Encoding: chunked\r\n\r\n");
}

TEST(http_response, some_statuses_have_no_body) {
  std::error_code error;
  server s([&](request&, response_writer& w) {
    w.write_header(status::no_content);
    w.write("x", error);
  });
  EXPECT_EQ(without_date(answer(s, get + "\r\n")), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(error, errc::body_not_allowed);
}

TEST(http_response, early_hints_come_first) {
  server s([](request&, response_writer& w) {
    w.header().set("Link", "</a>");
    w.write_header(status::early_hints);
    w.header().del("Link");
    w.write("x");
  });
  const std::string out = without_date(answer(s, get + "\r\n"));
  EXPECT_TRUE(out.starts_with("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n"))
      << out;
}

// RFC 9110 8.6: no Content-Length in what is only informational; nor chunked coding (RFC 9112 6.1).
TEST(http_response, informational_responses_are_not_framed) {
  server s([](request&, response_writer& w) {
    w.header().set("Content-Length", "5");
    w.header().set("Transfer-Encoding", "chunked");
    w.header().set("Link", "</a>");
    w.write_header(status::early_hints);
    w.write("hello");
  });
  const std::string out = without_date(answer(s, get + "\r\n"));
  EXPECT_TRUE(out.starts_with("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n"))
      << out;
  EXPECT_TRUE(out.ends_with("Content-Length: 5\r\n\r\nhello")) << out;
}

// Go has it since 1.19. Else the answer to the next request is taken for the answer to this one.
TEST(http_response, continue_from_a_handler_is_not_the_answer) {
  server s([](request& r, response_writer& w) {
    w.write_header(status::continue_);
    w.write("final " + r.body());
  });
  const std::string out = without_date(answer(s, get + "\r\n" + get + "\r\n"));
  const std::string one =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
      "Content-Length: 6\r\n\r\nfinal ";
  EXPECT_EQ(out, one + one);
  const std::string expecting =
      answer(s, post + "Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx");
  EXPECT_TRUE(expecting.ends_with("final x"));
  EXPECT_EQ(expecting.find(" 100 "), expecting.rfind(" 100 ")) << "said once is enough";
}

TEST(http_response, a_length_that_is_no_number_is_none) {
  for (const char* length : {"abc", "-1", "", "1, 1", "+1", "99999999999999999999"}) {
    for (const std::size_t size : {0u, 3u, 5000u}) {
      server_options o;
      log_lines log;
      log.install(o);
      server s(
          [&](request& r, response_writer& w) {
            if (r.path() == "/next") return w.write(std::string_view("next"));
            w.header().set("Content-Length", length);
            if (size != 0) w.write(std::string(size, 'x'));
          },
          o);
      const std::string out =
          without_date(answer(s, get + "\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n"));
      const std::string head = out.substr(0, out.find("\r\n\r\n") + 2);
      const std::string framing = size > 4096 ? "Transfer-Encoding: chunked\r\n"
                                              : "Content-Length: " + std::to_string(size) + "\r\n";
      EXPECT_NE(head.find(framing), head.npos) << head;
      EXPECT_EQ(head.find("Content-Length"), head.rfind("Content-Length"));
      EXPECT_TRUE(out.ends_with("next")) << out;
      EXPECT_EQ(log.text, "http: invalid Content-Length of \"" + std::string(length) + "\"\n");
    }
  }
}

// Nobody here speaks the protocol that would follow.
TEST(http_response, switching_protocols_ends_the_connection) {
  server s([](request&, response_writer& w) {
    w.header().set("Connection", "Upgrade");
    w.write_header(status::switching_protocols);
  });
  EXPECT_EQ(without_date(answer(s, get + "\r\n" + get + "\r\n")),
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n");
}

TEST(http_response, redirects_lead_where_they_say) {
  server s([](request& r, response_writer& w) { redirect(r, w, r.query_value("to")); });
  const auto location = [&](const std::string& to, const std::string& path = "/a/b") {
    const std::string out =
        answer(s, "HEAD " + path + "?to=" + to + " HTTP/1.1\r\nHost: x\r\n\r\n");
    const std::size_t at = out.find("Location: ") + 10;
    return out.substr(at, out.find("\r\n", at) - at);
  };
  EXPECT_EQ(location("mailto:a@b"), "mailto:a@b");
  EXPECT_EQ(location("com.example.app:/done"), "com.example.app:/done");
  EXPECT_EQ(location("http://h/../x"), "http://h/../x");
  EXPECT_EQ(location("//h/x"), "//h/x");
  EXPECT_EQ(location("/x"), "/x");
  EXPECT_EQ(location("c"), "/a/c");
  EXPECT_EQ(location("../c%23d/../e"), "/c#d/../e") << "a fragment is no path";
  EXPECT_EQ(location("1:2"), "/a/1:2") << "no scheme begins with a digit";
  EXPECT_EQ(location("/c:d"), "/c:d");
  // A browser takes a backslash for a slash, and passes over blanks before.
  EXPECT_EQ(location("/\\evil"), "/%5Cevil");
  EXPECT_EQ(location("\\\\evil"), "/a/%5C%5Cevil");
  EXPECT_EQ(location("%09//evil"), "/a/%09/evil");
  EXPECT_EQ(location("/%0D%0AX:y"), "/%0D%0AX:y");
  EXPECT_EQ(location("/evil", "//b/c"), "/evil");
}

TEST(http_response, the_mux_answers_for_the_whole_server) {
  mux m;
  m.handle("/{folder}/", [](request&, response_writer& w) { w.write("folder"); });
  server s(m);
  const std::string out = without_date(answer(s, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_EQ(out, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  const std::string moved = answer(s, "GET /\\evil.example HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(moved.find("Location: /%5Cevil.example/\r\n"), moved.npos) << moved;
}

TEST(http_response, fields_cannot_be_smuggled_into_a_response) {
  server s([](request&, response_writer& w) {
    w.header().set("A", "b\r\nSet-Cookie: evil\r\n\r\nbody");
    w.header().add("B", std::string_view("\v\f\x7f\0\tc", 6));
    EXPECT_THROW(w.header().set("A\r\nB", "c"), std::invalid_argument);
    EXPECT_THROW(w.header().add("", "c"), std::invalid_argument);
  });
  const std::string out = answer(s, get + "\r\n");
  EXPECT_NE(out.find("A: b  Set-Cookie: evil    body\r\nB:     \tc\r\n"), out.npos) << out;
}

TEST(http_response, server_sent_events_arrive_at_once) {
  with_procs(2, [] {
    auto proceed = make_chan<unit>();
    server s([&](request&, response_writer& w) {
      event_stream events(w);
      events.send({.data = "one\ntwo", .name = "n", .id = "7", .retry = 5ms});
      proceed.recv();
      events.send({.data = "end"});
      std::error_code error;
      events.send({.data = "x", .name = "a\nb"}, error);
      EXPECT_EQ(error, std::errc::invalid_argument);
    });
    talk t(s);
    t.say(get + "\r\n");
    EXPECT_NE(t.hear("\r\n\r\n").find("Content-Type: text/event-stream\r\n"), std::string::npos);
    EXPECT_EQ(t.hear("\n\n\r\n"), "2d\r\nevent: n\nid: 7\nretry: 5\ndata: one\ndata: two\n\n\r\n");
    proceed.send({});
    EXPECT_EQ(t.hear("\n\n\r\n"), "b\r\ndata: end\n\n\r\n");
    EXPECT_EQ(t.hear("0\r\n\r\n"), "0\r\n\r\n");
    t.end().close();
  });
}

}  // namespace
}  // namespace gort::http
