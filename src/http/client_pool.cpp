// The client's connections: made, kept, and dropped when they have been idle for long.
#include <algorithm>
#include <mutex>
#include <utility>

#include <gort/net/dial.hpp>

#include "http/client_exchange.hpp"

namespace gort::http::detail {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

std::unique_ptr<client_connection> client_state::take(const std::string& key) {
  for (;;) {
    std::unique_lock guard(lock_);
    const auto found = idle_.find(key);
    if (found == idle_.end()) return nullptr;
    // The last one that was used is the one most likely to be alive.
    std::unique_ptr<client_connection> c = std::move(found->second.back());
    found->second.pop_back();
    if (found->second.empty()) idle_.erase(found);
    guard.unlock();
    // An idle server has nothing to say: it has closed the connection, or broken the protocol.
    if (!c->wire->has_input()) return c;
    c->wire->close();
  }
}

void client_state::put(std::unique_ptr<client_connection> c) {
  std::unique_ptr<client_connection> surplus;
  std::lock_guard guard(lock_);
  if (options.max_idle_per_host == 0) {
    surplus = std::move(c);
    return;
  }
  c->idle_since = steady_clock::now();
  auto& same = idle_[c->key];
  same.push_back(std::move(c));
  if (same.size() > options.max_idle_per_host) {
    surplus = std::move(same.front());
    same.pop_front();
  }
  if (options.idle_timeout == nanoseconds::zero() || sweeping_) return;
  sweeping_ = true;
  sweeper_ = after_func(options.idle_timeout, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->sweep();
  });
}

void client_state::sweep() {
  std::vector<std::unique_ptr<client_connection>> old;
  std::lock_guard guard(lock_);
  const time_point limit = steady_clock::now() - options.idle_timeout;
  for (auto host = idle_.begin(); host != idle_.end();) {
    auto& same = host->second;
    while (!same.empty() && same.front()->idle_since <= limit) {
      old.push_back(std::move(same.front()));
      same.pop_front();
    }
    host = same.empty() ? idle_.erase(host) : std::next(host);
  }
  sweeping_ = !idle_.empty();
  if (sweeping_) sweeper_.reset(options.idle_timeout);
}

void client_state::close_idle() {
  decltype(idle_) old;
  std::lock_guard guard(lock_);
  old.swap(idle_);
}

std::shared_ptr<tls_config> client_state::tls(std::error_code& error) {
  std::lock_guard guard(lock_);
  if (tls_ == nullptr) {
    tls_ = make_client_tls(options.ca_file, !options.insecure_skip_verify, error);
  }
  return tls_;
}

std::unique_ptr<client_connection> client_state::connect(const context& ctx, const url& to,
                                                         std::error_code& error) {
  std::unique_ptr<stream> wire;
  if (options.dial) {
    wire = options.dial(ctx, to.address, error);
  } else {
    net::conn c = net::dial(ctx, to.address, {.timeout = options.dial_timeout}, error);
    if (!error) wire = make_stream(std::move(c));
  }
  if (error) return nullptr;
  if (to.tls) {
    const std::shared_ptr<tls_config> config = tls(error);
    if (error) return nullptr;
    steady_clock::time_point limit{};
    if (options.tls_handshake_timeout != nanoseconds::zero()) {
      limit = steady_clock::now() + options.tls_handshake_timeout;
    }
    if (const auto last = ctx.deadline(); last && (limit == time_point{} || *last < limit)) {
      limit = *last;
    }
    wire = make_tls_client(std::move(wire), config, to.host, limit, error);
    if (error) return nullptr;
  }
  auto c = std::make_unique<client_connection>();
  c->wire = std::move(wire);
  c->key = (to.tls ? "https " : "http ") + to.address;
  return c;
}

}  // namespace gort::http::detail
