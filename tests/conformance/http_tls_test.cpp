// TLS both ways, over in-memory pipes, with certificates made on the spot.
#include <chrono>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gort/net.hpp>

#include "http/tls.hpp"
#include "support/http_certificates.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace gort::http {
namespace {

using namespace std::chrono_literals;
using test::failure;
using test::http_tls;
using test::in;
using test::with_procs;

TEST_F(http_tls, serves_and_verifies) {
  if (!made_) GORT_SKIP("no openssl command");
  with_procs(2, [&] {
    const handler h = [](request& r, response_writer& out) {
      EXPECT_TRUE(r.is_tls());
      out.write(r.body() + std::string(50'000, 'x'));
    };
    secure_world w(h, {.ca_file = folder_ + "/good.pem"});
    for (int i = 0; i < 3; ++i) {
      response r = w.ask.post("https://good.example/", "t", std::string(200'000, 'y'));
      EXPECT_EQ(r.reused_connection(), i != 0);
      EXPECT_EQ(r.body().size(), 250'000u);
    }
    EXPECT_EQ(w.ask.get("https://127.0.0.1/").body().size(), 50'000u);
    EXPECT_EQ(failure(w.ask, {.url = "https://bad.example/"}), errc::certificate);
    EXPECT_EQ(failure(w.ask, {.url = "https://127.0.0.2/"}), errc::certificate);
    secure_world other(h, {.ca_file = folder_ + "/other.pem"});
    EXPECT_EQ(failure(other.ask, {.url = "https://good.example/"}), errc::certificate);
    secure_world system(h, {});
    EXPECT_EQ(failure(system.ask, {.url = "https://good.example/"}), errc::certificate);
    secure_world trusting(h, {.insecure_skip_verify = true});
    EXPECT_EQ(trusting.ask.get("https://any.example/").status(), 200);
    EXPECT_EQ(failure(w.ask, {.url = "http://good.example/"}), errc::unexpected_eof)
        << "HTTP to a TLS server";
    secure_world missing(h, {.ca_file = "/no/such/file"});
    EXPECT_EQ(failure(missing.ask, {.url = "https://good.example/"}), errc::tls);
  });
}

TEST_F(http_tls, a_client_that_does_not_shake_hands_is_dropped) {
  if (!made_) GORT_SKIP("no openssl command");
  with_procs(2, [&] {
    std::error_code error;
    const auto config = make_server_tls(folder_ + "/good.pem", folder_ + "/good.key", error);
    ASSERT_FALSE(error);
    server serve([](request&, response_writer&) { ADD_FAILURE() << "nothing was asked"; });
    for (const std::string_view said : {"", "\x16\x03\x01\x02"}) {  // nothing, and half a hello
      auto pipe = test::make_pipe();
      wait_group connection;
      connection.go([&, end = pipe.server.release()] {
        serve.serve_connection(make_tls_server(std::unique_ptr<stream>(end), config, in(20ms)));
      });
      pipe.client->write(std::as_bytes(std::span(said)), error);
      std::byte answer[100];
      while (pipe.client->read(answer, error) != 0) continue;  // an alert, perhaps
      connection.wait();                                       // for ever, without the timeout
    }
    serve.close();
  });
}

/// Ends at once, and keeps the deadlines that it was given.
struct noting_stream final : test::simple_stream {
  struct notes {
    std::vector<time_point> read, write;
  };
  explicit noting_stream(notes& n) noexcept : noted(n) {}
  std::size_t read(std::span<std::byte>, std::error_code& error) override {
    error.clear();
    return 0;
  }
  void wait_readable(std::error_code& error) override { error.clear(); }
  using simple_stream::write_vectored;
  std::size_t write(std::span<const std::byte> from, std::error_code& error) override {
    error.clear();
    return from.size();
  }
  void close_write(std::error_code& error) override { error.clear(); }
  void close() noexcept override {}
  void set_read_deadline(time_point when) override { noted.read.push_back(when); }
  void set_write_deadline(time_point when) override { noted.write.push_back(when); }
  std::string remote_address() const override { return "nobody"; }
  notes& noted;
};

TEST_F(http_tls, the_handshake_limit_is_for_both_directions_and_leaves_their_deadlines) {
  if (!made_) GORT_SKIP("no openssl command");
  with_procs(1, [] {
    std::error_code error;
    const auto config = make_server_tls(folder_ + "/good.pem", folder_ + "/good.key", error);
    ASSERT_FALSE(error);
    noting_stream::notes noted;
    const auto before = std::chrono::steady_clock::now();
    const auto s = make_tls_server(std::make_unique<noting_stream>(noted), config, in(1h));
    s->set_read_deadline(before + 2h);
    s->set_write_deadline(before + 3h);
    std::byte byte;
    EXPECT_EQ(s->read({&byte, 1}, error), 0u);
    EXPECT_TRUE(error);
    for (const auto* direction : {&noted.read, &noted.write}) {
      ASSERT_EQ(direction->size(), 3u);
      EXPECT_GE((*direction)[1], before + 1h);
      EXPECT_LT((*direction)[1], before + 2h);
      EXPECT_EQ((*direction)[2], (*direction)[0]);
    }
  });
}

TEST_F(http_tls, the_least_of_the_servers_limits_bounds_the_handshake) {
  if (!made_) GORT_SKIP("no openssl command");
  with_procs(2, [] {
    for (auto which : {&server_options::read_header_timeout, &server_options::read_timeout,
                       &server_options::write_timeout}) {
      server_options limits;
      limits.read_header_timeout = limits.read_timeout = limits.write_timeout = 1h;
      limits.*which = 20ms;
      server serve([](request&, response_writer&) { ADD_FAILURE() << "nothing was asked"; },
                   limits);
      net::listener l = net::listen("127.0.0.1:0");
      const std::string address = l.local_endpoint().to_string();
      wait_group serving;
      serving.go([&, l = std::move(l)]() mutable {
        serve.serve_tls(std::move(l), folder_ + "/good.pem", folder_ + "/good.key");
      });
      net::conn silent = net::dial(background(), address);
      std::byte byte;
      std::error_code error;
      EXPECT_EQ(silent.read({&byte, 1}, error), 0u);  // an hour, without the limit
      serve.close();
      serving.wait();
    }
  });
}

/// Keeps how much time each deadline for reading left.
struct timing_stream final : test::forwarding_stream {
  timing_stream(std::unique_ptr<stream> s, std::vector<std::chrono::nanoseconds>& left)
      : forwarding_stream(std::move(s)), noted(left) {}
  void set_read_deadline(time_point when) override {
    if (when != time_point{}) noted.push_back(when - std::chrono::steady_clock::now());
    forwarding_stream::set_read_deadline(when);
  }
  std::vector<std::chrono::nanoseconds>& noted;
};

// A record that has begun is a request that has begun: it is not idle any more.
TEST_F(http_tls, half_a_record_has_the_time_of_a_header) {
  if (!made_) GORT_SKIP("no openssl command");
  with_procs(2, [] {
    std::error_code error;
    const auto config = make_server_tls(folder_ + "/good.pem", folder_ + "/good.key", error);
    const auto trusting = make_client_tls({}, false, error);
    ASSERT_FALSE(error);
    server_options limits;
    limits.read_header_timeout = 2s;
    limits.idle_timeout = 1h;
    server serve([](request&, response_writer& w) { w.write("ok"); }, limits);
    auto pipe = test::make_pipe();
    std::vector<std::chrono::nanoseconds> left;
    wait_group connection;
    connection.go([&, end = pipe.server.release()] {
      auto timed = std::make_unique<timing_stream>(std::unique_ptr<stream>(end), left);
      serve.serve_connection(make_tls_server(std::move(timed), config, in(60s)));
    });
    stream& wire = *pipe.client;
    const auto ask =
        make_tls_client(std::move(pipe.client), trusting, "good.example", in(60s), error);
    ASSERT_FALSE(error);
    ask->write(std::as_bytes(std::span(std::string_view("GET / HTTP/1.1\r\nHost: h\r\n\r\n"))),
               error);
    std::byte answer[1000];
    EXPECT_GT(ask->read(answer, error), 0u);
    wire.write(std::as_bytes(std::span(std::string_view("\x17\x03\x03\x01"))), error);
    while (ask->read(answer, error) != 0) continue;  // a farewell, perhaps
    connection.wait();
    EXPECT_LE(left.back(), limits.read_header_timeout);
  });
}

TEST_F(http_tls, a_server_that_does_not_shake_hands_is_given_up) {
  with_procs(2, [&] {
    std::vector<std::unique_ptr<stream>> servers;
    client_options o;
    o.insecure_skip_verify = true;
    o.tls_handshake_timeout = 20ms;
    o.dial = [&](const context&, const std::string&, std::error_code&) {
      auto pipe = test::make_pipe();
      servers.push_back(std::move(pipe.server));
      return std::move(pipe.client);
    };
    client ask(o);
    EXPECT_EQ(failure(ask, {.url = "https://silent.example/"}), std::errc::timed_out);
    EXPECT_EQ(servers.size(), 1u);
  });
}

}  // namespace
}  // namespace gort::http
