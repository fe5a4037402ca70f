// A client and a server joined by pipes.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gort/http.hpp>
#include <gort/wait_group.hpp>

#include "support/http_streams.hpp"

namespace gort::test {

using http::client;
using http::client_options;
using http::client_request;
using http::handler;
using http::server;
using http::server_options;
using http::stream;

/// A client whose connections lead to a server, through a new pipe each.
struct world {
  explicit world(handler h, client_options o = {}, server_options so = {})
      : serve(std::move(h), std::move(so)) {
    if (!o.dial) {
      o.dial = [this](const context&, const std::string& address, std::error_code&) {
        addresses.push_back(address);
        auto pipe = make_pipe();
        connections.go([this, end = pipe.server.release()] {
          serve.serve_connection(std::unique_ptr<stream>(end));
        });
        return std::move(pipe.client);
      };
    }
    ask = client(std::move(o));
  }
  ~world() {
    ask.close_idle_connections();
    serve.close();
    connections.wait();
  }

  std::vector<std::string> addresses;
  wait_group connections;
  server serve;
  client ask;
};

inline std::error_code failure(client& c, const client_request& r, const context& ctx = {}) {
  std::error_code error;
  c.do_(ctx, r, error);
  return error;
}

}  // namespace gort::test
