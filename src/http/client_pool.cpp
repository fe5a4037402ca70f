// The client's connections: made, kept, and dropped when they have been idle for long.
#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>

#include <gort/chan.hpp>
#include <gort/net/dial.hpp>

#include "http/client_exchange.hpp"

namespace gort::http::detail {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

client_options client_state::fit_for_the_wire(client_options o) {
  // As headers::set() does.
  for (char& c : o.user_agent) {
    if (c == '\r' || c == '\n' || c == '\0') c = ' ';
  }
  return o;
}

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
  const time_point now = steady_clock::now();
  for (auto host = idle_.begin(); host != idle_.end();) {
    auto& same = host->second;
    while (!same.empty() && now - same.front()->idle_since >= options.idle_timeout) {
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

namespace {

/// While it lives, cancelling the context closes the stream.
class closing_on_cancel {
 public:
  closing_on_cancel(const context& ctx, stream& s) {
    if (ctx.node() == nullptr) return;
    stop_.emplace(after_func(ctx, [&s, over = over_] {
      s.close();
      over.close();
    }));
  }
  ~closing_on_cancel() {
    if (stop_ && !(*stop_)()) over_.recv();  // it uses the stream
  }
  closing_on_cancel(const closing_on_cancel&) = delete;
  closing_on_cancel& operator=(const closing_on_cancel&) = delete;

 private:
  chan<unit> over_ = make_chan<unit>();
  std::optional<after_func_stop> stop_;
};

}  // namespace

std::unique_ptr<client_connection> client_state::connect(const context& ctx, const url& to,
                                                         std::error_code& error) {
  std::unique_ptr<stream> wire;
  if (options.dial) {
    wire = options.dial(ctx, to.address, error);
    if (wire == nullptr && !error) error = net::errc::no_address;
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
      limit = gort::detail::time_after(options.tls_handshake_timeout);
    }
    wire = make_tls_client(std::move(wire), config, to.host, limit);
    {
      const closing_on_cancel watch(ctx, *wire);
      wire->write({}, error);  // the handshake
    }
    if (ctx.err()) error = ctx.err();
    if (error) return nullptr;
  }
  auto c = std::make_unique<client_connection>();
  c->wire = std::move(wire);
  c->key = (to.tls ? "https " : "http ") + to.address;
  return c;
}

}  // namespace gort::http::detail
