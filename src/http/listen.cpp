// Serving what a network listener accepts.
#include <chrono>
#include <memory>
#include <utility>

#include <gort/go.hpp>
#include <gort/http/server.hpp>
#include <gort/net/listener.hpp>

#include "http/connection.hpp"
#include "http/server_state.hpp"
#include "http/tls.hpp"

namespace gort::http {

namespace {

/// In the server's list while it accepts, so that shutdown() wakes it.
struct open_listener final : server::state::closer {
  open_listener(server::state& s, net::listener l) : owner(s), listener(std::move(l)) {
    is_open = owner.add_closer(*this);
  }
  ~open_listener() {
    if (is_open) owner.remove_closer(*this);
  }
  void close() noexcept override {
    std::error_code ignored;
    listener.close(ignored);
  }

  server::state& owner;
  net::listener listener;
  bool is_open = false;
};

/// One of the connections that server_options::max_connections counts.
struct room {
  explicit room(std::shared_ptr<server::state> s) noexcept : owner(std::move(s)) {}
  room(room&&) noexcept = default;
  room& operator=(room&&) = delete;
  ~room() {
    if (owner != nullptr) owner->give_room();
  }
  std::shared_ptr<server::state> owner;
};

/// As in Go: the least of the limits that there are, from now; time_point{} if there is none.
stream::time_point handshake_limit(const server_options& options) {
  std::chrono::nanoseconds least{0};
  for (const auto limit :
       {options.read_header_timeout, options.read_timeout, options.write_timeout}) {
    if (limit != limit.zero() && (least == least.zero() || limit < least)) least = limit;
  }
  return least == least.zero() ? stream::time_point{} : gort::detail::time_after(least);
}

void serve_one(const std::shared_ptr<server::state>& state, std::unique_ptr<stream> s,
               const std::shared_ptr<tls_config>& tls) {
  if (tls != nullptr) s = make_tls_server(std::move(s), tls, handshake_limit(state->options));
  connection(*state, std::move(s)).run();
}

// With a handle of its own: the server may be destroyed as soon as it is shut down, which does not
// wait for this to return.
std::error_code accept_loop(const std::shared_ptr<server::state> state, net::listener l,
                            const std::shared_ptr<tls_config>& tls) {
  open_listener accepting(*state, std::move(l));
  const go_options options{.stack = state->options.stack, .name = "http"};
  while (accepting.is_open && state->wait_for_room()) {
    room taken(state);
    std::error_code error;
    net::endpoint from;
    net::conn c = accepting.listener.accept(from, error);
    if (error) {
      if (state->stopping.load_relaxed()) break;
      return error;
    }
    go(options,
       [taken = std::move(taken), tls, s = make_stream(std::move(c), std::move(from))]() mutable {
         serve_one(taken.owner, std::move(s), tls);
       });
  }
  return errc::server_closed;
}

}  // namespace

std::error_code server::serve(net::listener l) {
  return accept_loop(state_, std::move(l), nullptr);
}

std::error_code server::serve_tls(net::listener l, const std::string& certificate,
                                  const std::string& key) {
  std::error_code error;
  const std::shared_ptr<tls_config> tls = make_server_tls(certificate, key, error);
  if (error) return error;
  return accept_loop(state_, std::move(l), tls);
}

std::error_code server::listen_and_serve(std::string_view address) {
  std::error_code error;
  net::listener l = net::listen(address, {}, error);
  return error ? error : serve(std::move(l));
}

std::error_code server::listen_and_serve_tls(std::string_view address,
                                             const std::string& certificate,
                                             const std::string& key) {
  std::error_code error;
  net::listener l = net::listen(address, {}, error);
  return error ? error : serve_tls(std::move(l), certificate, key);
}

}  // namespace gort::http
