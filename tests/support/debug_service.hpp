// A server that serves the debug endpoints, and questions to it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gort/http.hpp>
#include <gort/http/debug.hpp>
#include <gort/net.hpp>
#include <gort/wait_group.hpp>

namespace gort::test {

/// A server on loopback.
class debug_service {
 public:
  explicit debug_service(http::debug::options o = {}, http::server_options how = {})
      : server_(routes(std::move(o)), std::move(how)) {
    net::listener listener = net::listen("127.0.0.1:0");
    base_ = "http://" + listener.local_endpoint().to_string();
    serving_.go([this, l = std::make_shared<net::listener>(std::move(listener))] {
      server_.serve(std::move(*l));
    });
  }
  ~debug_service() {
    server_.close();
    serving_.wait();
  }
  debug_service(const debug_service&) = delete;
  debug_service& operator=(const debug_service&) = delete;

  const std::string& base() const { return base_; }

  struct answer {
    int status = 0;
    std::string body;
    std::string type;
    std::string disposition;
    std::string go_pprof;
    std::string nosniff;
    std::string challenge;
    std::string allow;
  };
  using fields = std::vector<std::pair<std::string, std::string>>;
  answer ask(const std::string& path, const fields& more = {}, const std::string& method = "GET",
             const std::string& body = {}) {
    http::client_request r;
    r.method = method;
    r.url = base_ + path;
    r.body = body;
    for (const auto& [name, value] : more) r.header.set(name, value);
    http::client_options o;
    o.max_redirects = 0;
    http::client c(std::move(o));
    http::response got = c.do_(r);
    answer out{got.status(),
               {},
               std::string(got.header("Content-Type")),
               std::string(got.header("Content-Disposition")),
               std::string(got.header("X-Go-Pprof")),
               std::string(got.header("X-Content-Type-Options")),
               std::string(got.header("WWW-Authenticate")),
               std::string(got.header("Allow"))};
    out.body = got.body();
    return out;
  }

 private:
  static http::handler routes(http::debug::options o) {
    http::mux m;
    http::debug::handlers(m, std::move(o));
    return m;
  }
  http::server server_;
  wait_group serving_;
  std::string base_;
};

}  // namespace gort::test
