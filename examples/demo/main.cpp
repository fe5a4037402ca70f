// The demo: a small HTTP service on loopback, until it is interrupted or DEMO_SECONDS have passed.
//
//   demo [address]     by default 127.0.0.1:8080, or a free port if that one is taken
//
// Ctrl-C (SIGINT) or SIGTERM shut it down as a service should be: it accepts no more, answers what
// it has begun, and ends with status 0. What is still running after five seconds is broken off.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include <gort/context.hpp>
#include <gort/go.hpp>
#include <gort/http.hpp>
#include <gort/http/debug.hpp>
#include <gort/net.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/select.hpp>
#include <gort/signal.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#ifdef GORT_DEMO_METRICS  // where prometheus-cpp is installed
#include <gort/prometheus_handler.hpp>
#endif

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
    {"/debug/pprof/", "profiles; see the commands below"},
    {"/debug/vars", "the command line and memory statistics as JSON, as Go's expvar"},
#ifdef GORT_DEMO_METRICS
    {"/metrics", "what the runtime counts, for Prometheus, by Go's names"},
#endif
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

/// Until the client has gone or the server shuts down.
void events(request& r, response_writer& w, const gort::chan<gort::unit>& stopping) {
  gort::http::event_stream stream(w);
  bool over = false;
  for (int i = 1; !over; ++i) {
    const std::string data = "tick " + std::to_string(i) + ", " +
                             std::to_string(gort::runtime::num_goroutine()) + " goroutines";
    std::error_code gone;
    stream.send({.data = data, .name = "tick"}, gone);
    if (gone) return;
    gort::select(r.context().done().on_recv([&] { over = true; }),
                 stopping.on_recv([&] { over = true; }), gort::after(1s).on_recv());
  }
}

void echo(request& r, response_writer& w) {
  std::byte buffer[16 * 1024];
  while (const std::size_t n = r.read(buffer)) w.write(std::span<const std::byte>(buffer, n));
}

/// Middleware: whatever a request starts bears its endpoint, in profiles and in dumps.
handler labelled(handler next) {
  return [next = std::move(next)](request& r, response_writer& w) {
    gort::pprof::with_labels(gort::pprof::labels("endpoint", r.path(), "method", r.method()),
                             [&] { next(r, w); });
  };
}

/// Middleware, a function from handler to handler: a field in every response.
handler named(handler next) {
  return [next = std::move(next)](request& r, response_writer& w) {
    w.header().set("Server", "gort");
    next(r, w);
  };
}

handler routes(const gort::chan<gort::unit>& stopping) {
  mux m;
  m.handle("GET /{$}", index);
  m.handle("GET /hello/{name}", [](request& r, response_writer& w) {
    w.write("Hello, " + std::string(r.path_value("name")) + "!\n");
  });
  m.handle("GET /items/{id}", item);
  m.handle("GET /work", [](request&, response_writer& w) {
    w.write(std::to_string(exercise::busy(100'000'000)) + "\n");
  });
  m.handle("GET /events", [stopping](request& r, response_writer& w) { events(r, w, stopping); });
  m.handle("/echo", echo);
  m.handle("GET /panic", [](request&, response_writer&) { throw std::runtime_error("on demand"); });
  m.handle("GET /healthz", [](request&, response_writer& w) { w.write("ok\n"); });
  gort::http::debug::options who;  // requests from this machine only
#ifdef GORT_DEMO_METRICS
  who.metrics = gort::prometheus::metrics_handler();
#endif
  gort::http::debug::handlers(m, std::move(who));
  return named(labelled(m));
}

void print_commands(const std::string& base) {
  const std::string profiles = base + "/debug/pprof/";
  std::printf("\nTo look into it while it serves:\n");
  const std::string lines[] = {
      "go tool pprof -http=: '" + profiles +
          "profile?seconds=5'    # while somebody asks for /work",
      "go tool pprof -top -tagfocus=endpoint=/work '" + profiles + "profile?seconds=5'",
      "go tool pprof -top " + profiles + "goroutine",
      "go tool pprof -top -seconds 5 " + profiles + "creation",
      "curl -s '" + base + "/debug/mutex/enable?rate=5'; sleep 5; go tool pprof -top " + profiles +
          "mutex; curl -s " + base + "/debug/mutex/disable",
      "curl -so gort-trace.out '" + base +
          "/debug/trace?seconds=5' && go tool trace gort-trace.out",
      "curl -s '" + profiles + "goroutine?debug=2'",
  };
  for (const std::string& each : lines) std::printf("  %s\n", each.c_str());
}

/// Blocks until SIGINT, SIGTERM, or the time is over.
void wait_for_the_end(gort::context ctx) {
  const char* text = std::getenv("DEMO_SECONDS");
  const double limit_s = text != nullptr ? std::atof(text) : 0;
  std::optional<gort::cancelable_context> limited;
  if (limit_s > 0) {
    std::printf("for %g s (DEMO_SECONDS)\n", limit_s);
    limited = gort::with_timeout(ctx, std::chrono::duration<double>(limit_s));
    ctx = limited->ctx;
  } else {
    std::printf("until Ctrl-C\n");
  }
  std::fflush(stdout);
  ctx.done().recv();
}

gort::net::listener listen_somewhere(const std::string& address, std::error_code& error) {
  gort::net::listener l = gort::net::listen(address, {}, error);
  if (error != std::errc::address_in_use) return l;
  std::printf("%s is in use, so it is another port\n", address.c_str());
  return gort::net::listen("127.0.0.1:0", {}, error);
}

int demo(const std::string& address) {
  auto [interrupted, stop] = gort::signal::notify_context(gort::background(), SIGINT, SIGTERM);
  std::error_code error;
  gort::net::listener listener = listen_somewhere(address, error);
  if (error) {
    std::fprintf(stderr, "demo: listen %s: %s\n", address.c_str(), error.message().c_str());
    return 1;
  }
  const std::string base = "http://" + listener.local_endpoint().to_string();
  std::printf("\nThe demo serves on loopback. To try:\n");
  for (const link& each : links) std::printf("  %-36s %s\n", (base + each.path).c_str(), each.what);
  print_commands(base);

  const auto stopping = gort::make_chan<gort::unit>();
  gort::http::server server(routes(stopping));
  // Ends the streams of events, which would otherwise go on for ever.
  server.register_on_shutdown([stopping] { stopping.close(); });
  gort::wait_group serving;
  serving.go([&] { server.serve(std::move(listener)); });
  wait_for_the_end(interrupted);
  stop();  // a second Ctrl-C does not wait

  std::printf("shutting down ...\n");
  std::fflush(stdout);
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
  const std::string address = count > 1 ? arguments[1] : "127.0.0.1:8080";
  return gort::run([&] { return demo(address); });
}
