// A request's context ends with its handler, and when its client goes.
#include <chrono>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include <gort/go.hpp>
#include <gort/http.hpp>
#include <gort/net.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "support/http_talk.hpp"
#include "support/net_support.hpp"
#include "support/run.hpp"

namespace gort::http {
namespace {

using namespace std::chrono_literals;
using test::get;
using test::post;
using test::talk;
using test::with_procs;

TEST(http_context, context_ends_with_the_handler) {
  with_procs(2, [] {
    gort::context kept;
    server s([&](request& r, response_writer&) {
      kept = r.context();
      EXPECT_FALSE(kept.err());
    });
    talk t(s);
    t.say(get + "\r\n");
    t.hear("\r\n\r\n");
    kept.done().recv();
    EXPECT_EQ(kept.err(), context_error::canceled);
  });
}

TEST(http_context, context_ends_when_the_client_goes) {
  with_procs(2, [] {
    auto entered = make_chan<unit>();
    auto left = make_chan<std::error_code>();
    server s([&](request& r, response_writer&) {
      const context& ctx = r.context();  // before the body, and then without reading it further
      EXPECT_EQ(r.body().size(), r.content_length().value_or(0));
      entered.send({});
      ctx.done().recv();  // for ever, if nobody looks
      left.send(ctx.err());
    });
    for (const std::string& said :
         {get + "\r\n", post + "Content-Length: 3\r\n\r\nabc", get + "\r\n" + get + "\r\n"}) {
      talk t(s);
      t.say(said);
      entered.recv();
      t.end().close();
      EXPECT_EQ(*left.recv(), context_error::canceled) << said;
    }
  });
}

// What has been read ahead to see the client go is the next request.
TEST(http_context, a_watched_client_may_go_on_asking) {
  with_procs(2, [] {
    server s([&](request& r, response_writer& w) {
      const context ctx = r.context();
      const std::string body = r.body();
      if (r.path() == "/slow") gort::sleep(2ms);
      EXPECT_FALSE(ctx.err());
      w.write(std::string(r.path()) + body);
    });
    talk t(s);
    for (int i = 0; i < 50; ++i) {
      t.say("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n");
      t.say("ab");
      if (i % 2 == 0) t.say("GET /n");
      EXPECT_TRUE(t.hear("/slowab").ends_with("\r\n\r\n/slowab"));
      t.say(i % 2 == 0 ? "ext HTTP/1.1\r\nHost: x\r\n\r\n"
                       : "GET /next HTTP/1.1\r\nHost: x\r\n\r\n");
      EXPECT_TRUE(t.hear("\r\n\r\n/next").ends_with("\r\n\r\n/next"));
    }
  });
}

// The server reads it after the handler, when nobody may begin to look out for the client.
TEST(http_context, a_handler_that_leaves_the_body_alone) {
  with_procs(2, [] {
    server s([&](request& r, response_writer& w) {
      EXPECT_FALSE(r.context().err());
      w.write("fine");
    });
    for (const std::string body : {"Content-Length: 3\r\n\r\nabc",
                                   "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"}) {
      talk t(s);
      for (int i = 0; i < 20; ++i) {
        t.say(post + body);
        EXPECT_NE(t.hear("fine").find("200"), std::string::npos);
        gort::sleep(1ms);  // the connection waits for the next one
      }
      t.end().close();
    }
  });
}

TEST(http_context, goexit_in_a_watched_handler) {
  with_procs(2, [] {
    gort::context kept;
    server s([&](request& r, response_writer&) {
      kept = r.context();
      runtime::goexit();
    });
    talk t(s);
    t.say(get + "\r\n");
    EXPECT_EQ(t.hear_all(), "");
    kept.done().recv();
  });
}

TEST(http_context, the_remote_address_outlives_the_client) {
  with_procs(2, [] {
    auto entered = make_chan<unit>();
    auto address = make_chan<std::string>();
    server s([&](request& r, response_writer&) {
      entered.send({});
      r.context().done().recv();
      address.send(r.remote_address());
    });
    net::listener l = net::listen("127.0.0.1:0");
    net::conn c = net::dial(background(), l.local_endpoint().to_string());
    wait_group serving;
    serving.go([&] { s.serve(std::move(l)); });
    const std::string expected = c.local_endpoint().to_string();
    c.write(test::bytes_of(get + "\r\n"));
    entered.recv();
    c.set_linger(0s);  // a reset: the socket knows its peer no more
    c.close();
    EXPECT_EQ(*address.recv(), expected);
    s.close();
    serving.wait();
  });
}

}  // namespace
}  // namespace gort::http
