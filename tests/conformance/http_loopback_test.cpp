// The server on real sockets: curl and hand-written bytes as clients, our client, TLS, connections
// that are reset and dropped, and what is left over.
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/go.hpp>
#include <gort/http.hpp>
#include <gort/net.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "support/net_support.hpp"
#include "support/parked.hpp"
#include "support/run.hpp"
#include "support/seed.hpp"
#include "support/skip.hpp"

namespace gort::http {
namespace {

using namespace std::chrono_literals;
using test::with_procs;

/// A server that listens on a free port of the loopback interface.
struct listening {
  explicit listening(handler h, server_options o = {}) : serve(std::move(h), std::move(o)) {
    net::listener l = net::listen("127.0.0.1:0");
    address = l.local_endpoint().to_string();
    running.go([this, raw = new net::listener(std::move(l))] {
      const std::unique_ptr<net::listener> owned(raw);
      EXPECT_EQ(serve.serve(std::move(*owned)), errc::server_closed);
    });
  }
  ~listening() {
    serve.close();
    running.wait();
  }
  std::string url(const std::string& path) const { return "http://" + address + path; }

  server serve;
  std::string address;
  wait_group running;
};

std::string shell(const std::string& command) {
  return blocking([&] {
    std::string out;
    FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
    if (pipe == nullptr) return out;
    std::array<char, 4096> buffer;
    while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
      out.append(buffer.data(), n);
    }
    ::pclose(pipe);
    return out;
  });
}
bool has_curl() { return std::system("curl --version >/dev/null 2>&1") == 0; }

std::string talk(const std::string& address, std::string_view text) {
  net::conn c = net::dial(background(), address);
  c.write(std::as_bytes(std::span(text.data(), text.size())));
  std::string out;
  std::byte buffer[4096];
  std::error_code error;
  while (const std::size_t n = c.read(buffer, error)) {
    out.append(reinterpret_cast<const char*>(buffer), n);
  }
  return out;
}

mux demo_mux() {
  mux m;
  m.handle("/echo", [](request& r, response_writer& w) { w.write(r.body()); });
  m.handle("GET /items/{id}", [](request& r, response_writer& w) { w.write(r.path_value("id")); });
  m.handle("/long", [](request&, response_writer& w) {
    for (int i = 0; i < 100; ++i) w.write(std::string(10'000, 'x'));
  });
  m.handle("/dir/", [](request& r, response_writer& w) { w.write(r.remote_address()); });
  m.handle("/events", [](request&, response_writer& w) {
    event_stream events(w);
    for (const char* word : {"one", "two"}) events.send({.data = word});
  });
  m.handle("/throw", [](request&, response_writer&) { throw std::runtime_error("x"); });
  return m;
}

TEST(http_loopback, curl_is_content) {
  if (!has_curl()) GORT_SKIP("no curl");
  server_options o;
  o.log = [](std::string_view) {};
  with_procs(2, [&] {
    listening s(demo_mux(), o);
    const std::string curl = "curl -sS --max-time 20 ";
    EXPECT_EQ(shell(curl + s.url("/items/7")), "7");
    EXPECT_EQ(shell(curl + "-d abc " + s.url("/echo")), "abc");
    EXPECT_EQ(shell(curl + "-H 'Transfer-Encoding: chunked' -d abc " + s.url("/echo")), "abc");
    EXPECT_EQ(shell("head -c 300000 /dev/zero | tr '\\0' x | " + curl +
                    "-H 'Expect: 100-continue' --data-binary @- " + s.url("/echo") + " | wc -c"),
              "300000\n");
    EXPECT_EQ(shell(curl + s.url("/long") + " | wc -c"), "1000000\n");
    EXPECT_EQ(shell(curl + "-0 " + s.url("/long") + " | wc -c"), "1000000\n");
    EXPECT_EQ(shell(curl + "-I -o /dev/null -w '%{http_code} %header{content-length}' " +
                    s.url("/items/77")),
              "200 2");
    EXPECT_EQ(shell(curl + "-o /dev/null -w '%{http_code} %{num_connects}' " + s.url("/throw")),
              "500 1");
    EXPECT_EQ(shell(curl + "-L -o /dev/null -w '%{http_code} %{num_redirects} %{num_connects}' " +
                    s.url("/dir")),
              "200 1 1")
        << "the connection is kept over the redirect";
    EXPECT_EQ(shell(curl + "-N " + s.url("/events")), "data: one\n\ndata: two\n\n");
    EXPECT_EQ(shell(curl + "-o /dev/null -w '%{http_code}' -X DELETE " + s.url("/items/7")), "405");
  });
}

TEST(http_loopback, pipelined_bytes_by_hand) {
  with_procs(2, [] {
    listening s(demo_mux());
    const std::string one = "GET /items/1 HTTP/1.1\r\nHost: x\r\n\r\n";
    std::string many;
    for (int i = 0; i < 500; ++i) many += one;
    many += "GET /items/9 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    const std::string out = talk(s.address, many);
    std::size_t count = 0;
    for (std::size_t at = 0; (at = out.find("HTTP/1.1 200 OK", at)) != out.npos; ++at) ++count;
    EXPECT_EQ(count, 501u);
    EXPECT_TRUE(out.ends_with("9"));
    EXPECT_TRUE(talk(s.address, "rubbish\r\n\r\n").starts_with("HTTP/1.1 400 Bad Request\r\n"));
  });
}

// The answer is not lost when the rest of the request is thrown away.
TEST(http_loopback, an_early_refusal_reaches_a_client_that_is_still_sending) {
  server_options o;
  o.max_body_bytes = 1000;
  with_procs(2, [&] {
    listening s(demo_mux(), o);
    for (int i = 0; i < 20; ++i) {
      const std::string out =
          talk(s.address, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" +
                              std::string(200'000, 'x'));
      EXPECT_TRUE(out.starts_with("HTTP/1.1 413 ")) << out.substr(0, 100);
    }
  });
}

TEST(http_loopback, our_client_and_our_server) {
  with_procs(2, [] {
    listening s(demo_mux());
    client c;
    wait_group all;
    for (int g = 0; g < 20; ++g) {
      all.go([&, g] {
        for (int i = 0; i < 20; ++i) {
          const std::string text = std::to_string(g * 100 + i);
          EXPECT_EQ(c.get(s.url("/items/" + text)).body(), text);
          EXPECT_EQ(c.post(s.url("/echo"), "t", text).body(), text);
        }
        EXPECT_EQ(c.get(s.url("/long")).body().size(), 1'000'000u);
      });
    }
    all.wait();
    EXPECT_LE(s.serve.connections(), 20u);
    std::error_code error;
    c.do_(background(), {.url = "http://127.0.0.1:1/"}, error);
    EXPECT_EQ(error, std::errc::connection_refused);
    c.close_idle_connections();
  });
}

TEST(http_loopback, a_connection_that_the_server_closed_is_not_used_again) {
  server_options o;
  o.idle_timeout = 5ms;
  with_procs(2, [&] {
    listening s(demo_mux(), o);
    const int before = test::open_sockets();
    client c;
    EXPECT_EQ(c.post(s.url("/echo"), "t", "a").body(), "a");
    while (test::open_sockets() > before + 1) gort::sleep(1ms);  // the server's end is closed
    EXPECT_EQ(c.post(s.url("/echo"), "t", "a").body(), "a") << "a POST is not repeated";
  });
}

TEST(http_loopback, tls) {
  std::string folder = (std::filesystem::temp_directory_path() / "gort-tls-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string command = "cd " + folder +
                              " && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x "
                              "-addext subjectAltName=IP:127.0.0.1 -keyout key -out cert >log 2>&1";
  if (std::system(command.c_str()) != 0) {
    std::filesystem::remove_all(folder);
    GORT_SKIP("no openssl command");
  }
  with_procs(2, [&] {
    server s(demo_mux());
    net::listener l = net::listen("127.0.0.1:0");
    const std::string url = "https://" + l.local_endpoint().to_string();
    wait_group running;
    running.go([&] {
      EXPECT_EQ(s.serve_tls(std::move(l), folder + "/cert", folder + "/key"), errc::server_closed);
    });
    client c({.ca_file = folder + "/cert"});
    for (int i = 0; i < 3; ++i) EXPECT_EQ(c.get(url + "/items/5").body(), "5");
    EXPECT_EQ(c.get(url + "/long").body().size(), 1'000'000u);
    EXPECT_EQ(c.post(url + "/echo", "t", std::string(500'000, 'x')).body().size(), 500'000u);
    if (has_curl()) {
      EXPECT_EQ(shell("curl -sS --max-time 20 --cacert " + folder + "/cert " + url + "/items/6"),
                "6");
      EXPECT_EQ(
          shell("curl -sS --max-time 20 -k -o /dev/null -w '%{http_version}' " + url + "/long"),
          "1.1");
    }
    EXPECT_EQ(s.serve_tls({}, "/no/such", "/file"), errc::tls);
    c.close_idle_connections();
    EXPECT_EQ(s.shutdown(background()), std::error_code());
    running.wait();
  });
  std::filesystem::remove_all(folder);
}

TEST(http_loopback, max_connections_holds_back_the_rest) {
  server_options o;
  o.max_connections = 2;
  with_procs(2, [&] {
    listening s(demo_mux(), o);
    net::conn a = net::dial(background(), s.address);
    net::conn b = net::dial(background(), s.address);
    while (s.serve.connections() != 2) gort::sleep(1ms);
    net::conn late = net::dial(background(), s.address);
    const std::string ask = "GET /items/3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    late.write(std::as_bytes(std::span(ask.data(), ask.size())));
    std::byte buffer[1000];
    std::error_code error;
    late.set_read_deadline(std::chrono::steady_clock::now() + 30ms);
    late.read(buffer, error);
    EXPECT_EQ(error, std::errc::timed_out);
    a.close();
    late.set_read_deadline({});
    EXPECT_NE(late.read(buffer, error), 0u);
  });
}

TEST(http_loopback, nothing_is_left_of_connections_that_are_dropped) {
  std::mt19937_64 random(test::seed());
  server_options o;
  o.log = [](std::string_view) {};
  with_procs(2, [&] {
    int before = 0;
    {
      listening s(demo_mux(), o);
      talk(s.address, "GET /items/1 HTTP/1.0\r\n\r\n");
      while (s.serve.connections() != 0) gort::sleep(1ms);
      before = test::open_sockets();
      const auto goroutines = runtime::num_goroutine();
      const std::string whole =
          "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
          "5\r\nhello\r\n0\r\n\r\nGET /long HTTP/1.1\r\nHost: x\r\n\r\n";
      for (int i = 0; i < 2000; ++i) {
        net::conn c = net::dial(background(), s.address);
        const std::string_view part = std::string_view(whole).substr(0, random() % whole.size());
        std::error_code error;
        if (!part.empty()) c.write(std::as_bytes(std::span(part.data(), part.size())), error);
        if (random() % 2 == 0) c.set_linger(std::chrono::seconds(0), error);  // a reset
        if (random() % 4 == 0) c.close_write(error);
      }
      while (s.serve.connections() != 0) gort::sleep(1ms);
      test::until_goroutines_left(goroutines);
      while (test::open_sockets() > before) gort::sleep(1ms);
    }
  });
}

TEST(http_loopback, the_server_may_go_before_serve_has_returned) {
  with_procs(1, [] {
    for (const bool is_shut_down : {true, false}) {
      auto s = std::make_unique<server>([](request&, response_writer&) {});
      auto returned = make_chan<std::error_code>();
      const test::arrivals since;
      go([&s = *s, l = net::listen("127.0.0.1:0"), returned]() mutable {
        returned.send(s.serve(std::move(l)));
      });
      since.wait_for(1, test::wait_reason::io_wait);
      EXPECT_FALSE(is_shut_down ? s->shutdown(background()) : std::error_code());
      s.reset();
      EXPECT_EQ(*returned.recv(), errc::server_closed);
    }
  });
}

}  // namespace
}  // namespace gort::http
