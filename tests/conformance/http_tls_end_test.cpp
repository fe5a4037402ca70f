// TLS: how connections end, and whose name a certificate is for.
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include <gort/go.hpp>
#include <gort/time.hpp>

#include "http/tls.hpp"
#include "support/http_certificates.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace gort::http {
namespace {

using namespace std::chrono_literals;
using test::client_options;
using test::failure;
using test::in;
using test::with_procs;

class http_tls_end : public test::http_tls {};

/// One connection to a server over TLS, without a client between.
struct tls_talk {
  tls_talk(server& s, const std::string& folder) {
    std::error_code error;
    const auto config = make_server_tls(folder + "/good.pem", folder + "/good.key", error);
    const auto trusting = make_client_tls({}, false, error);
    auto pipe = test::make_pipe();
    serving.go([&s, config, end = pipe.server.release()] {
      s.serve_connection(make_tls_server(std::unique_ptr<stream>(end), config, in(60s)));
    });
    ask = make_tls_client(std::move(pipe.client), trusting, "good.example", in(60s), error);
    EXPECT_FALSE(error);
  }
  ~tls_talk() {
    ask->close();
    serving.wait();
  }
  void say(std::string_view text) {
    std::error_code error;
    ask->write(std::as_bytes(std::span(text)), error);
  }
  /// Reads to the end: none if that was said, errc::unexpected_eof if not.
  std::error_code end() {
    std::error_code error;
    std::byte buffer[1000];
    while (const std::size_t n = ask->read(buffer, error)) {
      heard += test::text_of(std::span<const std::byte>(buffer, n));
    }
    return error;
  }
  wait_group serving;
  std::unique_ptr<stream> ask;
  std::string heard;
};

// Without it the end of a body cannot be told from a cut (RFC 9112 9.8).
TEST_F(http_tls_end, a_server_says_goodbye_at_every_orderly_end) {
  if (!made_) GORT_SKIP("no openssl command");
  with_procs(2, [] {
    server_options o;
    o.log = [](std::string_view) {};
    const handler h = [](request& r, response_writer& w) {
      w.write(std::string(20'000, 'x'));
      if (r.path() == "/abort") throw abort_handler();
    };
    {
      server s(h, o);
      for (const std::string said :
           {"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            "GET /?#\r\n\r\n"}) {
        tls_talk t(s, folder_);
        t.say(said);
        EXPECT_EQ(t.end(), std::error_code()) << said;
        EXPECT_TRUE(t.heard.starts_with("HTTP/1.")) << said;
      }
      for (const std::string version : {"HTTP/1.0\r\n\r\n", "HTTP/1.1\r\nHost: x\r\n\r\n"}) {
        tls_talk t(s, folder_);
        t.say("GET /abort " + version);
        EXPECT_EQ(t.end(), errc::unexpected_eof) << "what is cut short is no orderly end";
      }
      tls_talk idle(s, folder_);
      idle.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      std::byte one;
      std::error_code error;
      EXPECT_EQ(idle.ask->read({&one, 1}, error), 1u);
      EXPECT_EQ(s.shutdown(background()), std::error_code());
      EXPECT_EQ(idle.end(), std::error_code()) << "shut down";
    }
    o.idle_timeout = 20ms;
    server s(h, o);
    tls_talk t(s, folder_);
    t.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(t.end(), std::error_code()) << "idle for too long";
  });
}

TEST_F(http_tls_end, a_shutdown_does_not_wait_for_handshakes) {
  if (!made_) GORT_SKIP("no openssl command");
  with_procs(2, [] {
    std::error_code error;
    const auto config = make_server_tls(folder_ + "/good.pem", folder_ + "/good.key", error);
    server s([](request&, response_writer&) {});
    auto pipe = test::make_pipe();
    wait_group serving;
    serving.go([&, end = pipe.server.release()] {
      s.serve_connection(make_tls_server(std::unique_ptr<stream>(end), config, in(1h)));
    });
    while (s.connections() != 1) gort::sleep(1ms);
    EXPECT_EQ(s.shutdown(background()), std::error_code());  // an hour
    serving.wait();
  });
}

TEST_F(http_tls_end, a_client_says_goodbye_too) {
  if (!made_) GORT_SKIP("no openssl command");
  with_procs(2, [] {
    std::error_code error;
    const auto config = make_server_tls(folder_ + "/good.pem", folder_ + "/good.key", error);
    for (const bool keep : {true, false}) {
      client_options o;
      o.insecure_skip_verify = true;
      auto seen = make_chan<std::error_code>(1);
      o.dial = [&](const context&, const std::string&, std::error_code&) {
        auto pipe = test::make_pipe();
        go([&seen, config, keep, end = pipe.server.release()] {
          const auto s = make_tls_server(std::unique_ptr<stream>(end), config, in(60s));
          std::byte buffer[1000];
          std::error_code failed;
          s->read(buffer, failed);
          const std::string answer = std::string("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n") +
                                     (keep ? "\r\n" : "Connection: close\r\n\r\n");
          s->write(std::as_bytes(std::span(std::string_view(answer))), failed);
          while (s->read(buffer, failed) != 0) continue;
          seen.send(failed);
        });
        return std::move(pipe.client);
      };
      client c(o);
      EXPECT_EQ(c.get("https://good.example/").status(), 200);
      c.close_idle_connections();
      EXPECT_EQ(*seen.recv(), std::error_code()) << keep;
    }
  });
}

TEST_F(http_tls_end, names_are_compared_as_the_certificate_means_them) {
  if (!made_) GORT_SKIP("no openssl command");
  with_procs(2, [&] {
    const handler h = [](request&, response_writer& out) { out.write("x"); };
    secure_world w(h, {.ca_file = folder_ + "/good.pem"});
    EXPECT_EQ(w.ask.get("https://good.example./").status(), 200) << "the final dot";
    EXPECT_EQ(failure(w.ask, {.url = "https://good.example../"}), errc::certificate);
    // "good" is the common name only.
    EXPECT_EQ(failure(w.ask, {.url = "https://good/"}), errc::certificate);
    const std::string command =
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=cn.example"
        " -keyout " +
        folder_ + "/cn.key -out " + folder_ + "/cn.pem 2>" + folder_ + "/log";
    ASSERT_EQ(std::system(command.c_str()), 0);
    std::error_code error;
    const auto config = make_server_tls(folder_ + "/cn.pem", folder_ + "/cn.key", error);
    const auto trusting = make_client_tls(folder_ + "/cn.pem", true, error);
    ASSERT_FALSE(error);
    auto pipe = test::make_pipe();
    wait_group serving;
    serving.go([&, end = pipe.server.release()] {
      w.serve.serve_connection(make_tls_server(std::unique_ptr<stream>(end), config, in(60s)));
    });
    make_tls_client(std::move(pipe.client), trusting, "cn.example", in(60s), error);
    EXPECT_EQ(error, errc::certificate) << "a certificate without subjectAltName";
    serving.wait();
  });
}

}  // namespace
}  // namespace gort::http
