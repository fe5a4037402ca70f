// An HTTP server that says hello, for a first look and for the benchmark:
// http_hello [address [processors]], by default 127.0.0.1:8080 and GOMAXPROCS.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include <gort/go.hpp>
#include <gort/http.hpp>
#include <gort/net.hpp>
#include <gort/runtime.hpp>

int main(int count, char** arguments) {
  const std::string address = count > 1 ? arguments[1] : "127.0.0.1:8080";
  return gort::run([&] {
    if (count > 2)
      gort::runtime::gomaxprocs(static_cast<int>(std::strtol(arguments[2], nullptr, 10)));
    gort::http::mux mux;
    mux.handle("GET /{$}", [](gort::http::request&, gort::http::response_writer& w) {
      w.write("Hello, World!\n");
    });
    mux.handle("GET /hello/{name}", [](gort::http::request& r, gort::http::response_writer& w) {
      w.write("Hello, " + std::string(r.path_value("name")) + "!\n");
    });

    std::error_code error;
    gort::net::listener listener = gort::net::listen(address, {}, error);
    if (!error) {
      std::printf("http://%s/\n", listener.local_endpoint().to_string().c_str());
      std::fflush(stdout);
      gort::http::server server(mux);
      error = server.serve(std::move(listener));
    }
    std::fprintf(stderr, "http_hello: %s\n", error.message().c_str());
    return 1;
  });
}
