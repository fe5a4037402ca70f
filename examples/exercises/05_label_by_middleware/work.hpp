// What the service does, and how it is served until it is killed.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>

#include <gort/go.hpp>
#include <gort/http.hpp>
#include <gort/net.hpp>

#include "measure.hpp"

namespace exercise {

/// The guide's handler: adds up a hundred million numbers and answers with the sum.
inline void handle_work(gort::http::request&, gort::http::response_writer& w) {
  w.write(std::to_string(busy(100'000'000)));
}

/// Serves on the address that the program is given, by default 127.0.0.1:8080.
inline int serve(int count, char** arguments, gort::http::handler all) {
  return gort::run([&] {
    std::error_code error;
    const char* address = count > 1 ? arguments[1] : "127.0.0.1:8080";
    gort::net::listener listener = gort::net::listen(address, {}, error);
    if (!error) {
      std::printf("http://%s/work\n", listener.local_endpoint().to_string().c_str());
      std::fflush(stdout);
      error = gort::http::server(std::move(all)).serve(std::move(listener));
    }
    std::fprintf(stderr, "%s: %s\n", address, error.message().c_str());
    return 1;
  });
}

}  // namespace exercise
