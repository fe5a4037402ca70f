// How the exercises' services are served: until they are killed, for who tries them, or for as long
// as they are measured.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include <gort/go.hpp>
#include <gort/http.hpp>
#include <gort/net.hpp>
#include <gort/wait_group.hpp>

namespace exercise {

/// On the address until the process is killed, says `path` to try.
inline int serve(const char* address, gort::http::handler all, const char* path) {
  return gort::run([&] {
    std::error_code error;
    gort::net::listener listener = gort::net::listen(address, {}, error);
    if (!error) {
      std::printf("http://%s%s\n", listener.local_endpoint().to_string().c_str(), path);
      std::fflush(stdout);
      error = gort::http::server(std::move(all)).serve(std::move(listener));
    }
    std::fprintf(stderr, "%s: %s\n", address, error.message().c_str());
    return 1;
  });
}

/// On a port of its own, as long as this exists.
class served {
 public:
  explicit served(gort::http::handler all) : server_(std::move(all)) {
    gort::net::listener listener = gort::net::listen("127.0.0.1:0");
    base_ = "http://" + listener.local_endpoint().to_string();
    serving_.go([this, l = std::make_shared<gort::net::listener>(std::move(listener))] {
      server_.serve(std::move(*l));
    });
  }
  ~served() {
    server_.close();
    serving_.wait();
  }
  served(const served&) = delete;
  served& operator=(const served&) = delete;

  /// The body of the answer.
  std::string ask(const std::string& path, const std::string& method = "GET",
                  const std::string& request_id = {}) const {
    gort::http::client_request r;
    r.method = method;
    r.url = base_ + path;
    if (!request_id.empty()) r.header.set("X-Request-Id", request_id);
    gort::http::client c;
    return c.do_(r).body();
  }

 private:
  gort::http::server server_;
  gort::wait_group serving_;
  std::string base_;
};

}  // namespace exercise
