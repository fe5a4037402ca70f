// Servers for wrk, in gort. Their twins are in bench/peers/go/server.go and send the same bytes.
//
//   bench_server http|tcp --procs N      prints its port, and serves until it is killed
//
// http says hello through the multiplexer. tcp answers whatever one read brings with a fixed
// response, unparsed: what the sockets alone cost.
#include <array>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <gort/go.hpp>
#include <gort/http.hpp>
#include <gort/net.hpp>
#include <gort/runtime.hpp>

#include "raw_reply.hpp"

namespace {

constexpr std::string_view hello = "Hello, World!\n";

void serve_http(gort::net::listener listener) {
  gort::http::mux mux;
  mux.handle("GET /hello",
             [](gort::http::request&, gort::http::response_writer& w) { w.write(hello); });
  gort::http::server(mux).serve(std::move(listener));
}

void answer(gort::net::conn c) {
  std::array<std::byte, 4096> buffer;
  std::error_code error;
  while (c.read(buffer, error) != 0)
    if (c.write(std::as_bytes(std::span(raw_reply)), error) != raw_reply.size()) return;
}

void serve_tcp(gort::net::listener listener) {
  for (;;) gort::go([c = listener.accept()]() mutable { answer(std::move(c)); });
}

}  // namespace

int main(int count, char** arguments) {
  const std::string_view kind = count == 4 ? arguments[1] : "";
  if ((kind != "http" && kind != "tcp") || std::strcmp(arguments[2], "--procs") != 0) {
    std::fprintf(stderr, "usage: %s http|tcp --procs N\n", arguments[0]);
    return 1;
  }
  return gort::run([&] {
    gort::runtime::gomaxprocs(std::stoi(arguments[3]));
    gort::net::listener listener = gort::net::listen("127.0.0.1:0");
    std::printf("%d\n", listener.local_endpoint().port());
    std::fflush(stdout);
    kind == "http" ? serve_http(std::move(listener)) : serve_tcp(std::move(listener));
  });
}
