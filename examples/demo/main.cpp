// The demo: a small HTTP service on loopback, until it is interrupted or DEMO_SECONDS have passed.
//
//   demo [address]     by default 127.0.0.1:8080, or a free port if that one is taken
//
// Ctrl-C (SIGINT) or SIGTERM shut it down as a service should be: it accepts no more, answers what
// it has begun, and ends with status 0. What is still running after five seconds is broken off.
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include <gort/context.hpp>
#include <gort/go.hpp>
#include <gort/http.hpp>
#include <gort/net.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "exercises/measure.hpp"

namespace {

using namespace std::chrono_literals;
using gort::http::handler;
using gort::http::mux;
using gort::http::request;
using gort::http::response_writer;

struct link {
  const char* path;
  const char* what;
};
constexpr link links[] = {
    {"/", "this list"},
    {"/hello/gopher", "a name from the path: GET /hello/{name}"},
    {"/items/42", "JSON, GET /items/{id}; POST and DELETE are refused with 405"},
    {"/work", "a hundred million additions, and the others are still served"},
    {"/events", "server-sent events, one a second"},
    {"/echo", "sends a body back as it comes: curl -T file .../echo"},
    {"/panic", "a handler that throws: 500, and a line in the log"},
    {"/healthz", "ok"},
};

void index(request&, response_writer& w) {
  std::string page = "<!doctype html><title>gort</title><h1>gort serves</h1><ul>";
  for (const link& each : links) {
    page += std::string("<li><a href=\"") + each.path + "\">" + each.path + "</a> " + each.what;
  }
  w.header().set("Content-Type", "text/html; charset=utf-8");
  w.write(page + "</ul>\n");
}

void item(request& r, response_writer& w) {
  const std::string id(r.path_value("id"));
  if (id.find_first_not_of("0123456789") != id.npos || id.size() > 9) {
    return gort::http::error(w, "an item's id is a number", gort::http::status::bad_request);
  }
  w.header().set("Content-Type", "application/json");
  w.write("{\"id\": " + id + ", \"name\": \"item " + id + "\"}\n");
}

void events(request& r, response_writer& w) {
  gort::http::event_stream stream(w);
  for (int i = 1;; ++i) {
    const std::string data = "tick " + std::to_string(i) + ", " +
                             std::to_string(gort::runtime::num_goroutine()) + " goroutines";
    std::error_code gone;
    stream.send({.data = data, .name = "tick"}, gone);
    if (gone || r.context().done().recv_for(1s).ready) return;  // the client, or the server
  }
}

void echo(request& r, response_writer& w) {
  std::byte buffer[16 * 1024];
  while (const std::size_t n = r.read(buffer)) w.write(std::span<const std::byte>(buffer, n));
}

/// Middleware, a function from handler to handler: a field in every response.
handler named(handler next) {
  return [next = std::move(next)](request& r, response_writer& w) {
    w.header().set("Server", "gort");
    next(r, w);
  };
}

handler routes() {
  mux m;
  m.handle("GET /{$}", index);
  m.handle("GET /hello/{name}", [](request& r, response_writer& w) {
    w.write("Hello, " + std::string(r.path_value("name")) + "!\n");
  });
  m.handle("GET /items/{id}", item);
  m.handle("GET /work", [](request&, response_writer& w) {
    w.write(std::to_string(exercise::busy(100'000'000)) + "\n");
  });
  m.handle("GET /events", events);
  m.handle("/echo", echo);
  m.handle("GET /panic", [](request&, response_writer&) { throw std::runtime_error("on demand"); });
  m.handle("GET /healthz", [](request&, response_writer& w) { w.write("ok\n"); });
  return named(m);
}

int interrupt_pipe[2];  // a pair of sockets, so that a goroutine can wait for a signal

void on_signal(int) {
  const char byte = 0;
  [[maybe_unused]] const ssize_t sent = write(interrupt_pipe[1], &byte, 1);
}

/// Blocks until SIGINT, SIGTERM, or the time is over.
void wait_for_the_end(gort::net::conn interrupted) {
  const char* text = std::getenv("DEMO_SECONDS");
  const double limit_s = text != nullptr ? std::atof(text) : 0;
  std::error_code error;
  if (limit_s > 0) {
    std::printf("for %g s (DEMO_SECONDS)\n", limit_s);
    const auto limit = std::chrono::duration<double>(limit_s);
    interrupted.set_read_deadline(
        std::chrono::steady_clock::now() +
            std::chrono::duration_cast<std::chrono::steady_clock::duration>(limit),
        error);
  } else {
    std::printf("until Ctrl-C\n");
  }
  std::fflush(stdout);
  interrupted.wait_readable(error);
}

gort::net::listener listen_somewhere(const std::string& address, std::error_code& error) {
  gort::net::listener l = gort::net::listen(address, {}, error);
  if (error != std::errc::address_in_use) return l;
  std::printf("%s is in use, so it is another port\n", address.c_str());
  return gort::net::listen("127.0.0.1:0", {}, error);
}

int demo(const std::string& address) {
  std::error_code error;
  gort::net::listener listener = listen_somewhere(address, error);
  if (error) {
    std::fprintf(stderr, "demo: listen %s: %s\n", address.c_str(), error.message().c_str());
    return 1;
  }
  gort::net::conn interrupted = gort::net::conn::adopt(interrupt_pipe[0]);
  const std::string base = "http://" + listener.local_endpoint().to_string();
  std::printf("\nThe demo serves on loopback. To try:\n");
  for (const link& each : links) std::printf("  %-36s %s\n", (base + each.path).c_str(), each.what);

  // Ends the streams of events, which would otherwise go on for ever.
  auto [living, end] = gort::with_cancel(gort::background());
  gort::http::server_options options;
  options.base_context = living;
  gort::http::server server(routes(), std::move(options));
  gort::wait_group serving;
  serving.go([&] { server.serve(std::move(listener)); });
  wait_for_the_end(std::move(interrupted));

  std::printf("shutting down ...\n");
  std::fflush(stdout);
  end();
  const auto [ctx, cancel] = gort::with_timeout(gort::background(), 5s);
  if (server.shutdown(ctx)) {
    std::printf("%zu connections broken off\n", server.connections());
    server.close();
  }
  serving.wait();
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, interrupt_pipe) != 0) {
    std::perror("demo: socketpair");
    return 1;
  }
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  const std::string address = count > 1 ? arguments[1] : "127.0.0.1:8080";
  return gort::run([&] { return demo(address); });
}
