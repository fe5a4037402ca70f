// Connecting: one address, and a race of several.
//
// Invariants
//   [dial-1] The hook by which a context ends an attempt is removed before the attempt's operation
//            ends, and the deadline that it may have set is taken back after that.
//   [dial-2] A loser of the race is told by its context, ends by itself and closes what it has; its
//            result goes into a channel that has room for all.
#include "net/dial.hpp"

#include <algorithm>
#include <chrono>
#include <optional>

#include <gort/chan.hpp>
#include <gort/detail/cancel_hook.hpp>
#include <gort/go.hpp>
#include <gort/net/resolve.hpp>

#include "net/io.hpp"

namespace gort::net {

using poll::descriptor;
using poll::operation;
using poll::verdict;

namespace {

// While it lives, cancelling the context ends waits for the socket to become writable.
class cancelable : detail::cancel_hook {
 public:
  cancelable(const context& ctx, descriptor& d) noexcept : cancel_hook(&cancel), ctx_(ctx), on_(d) {
    if (!detail::add_hook(ctx_, *this)) poll::expire_now(on_.write);
  }
  ~cancelable() { detail::remove_hook(ctx_, *this); }
  cancelable(const cancelable&) = delete;
  cancelable& operator=(const cancelable&) = delete;

 private:
  static void cancel(detail::cancel_hook& self) noexcept {
    poll::expire_now(static_cast<cancelable&>(self).on_.write);
  }

  const context& ctx_;
  descriptor& on_;
};

// After EINPROGRESS: 0, or below 0 an error; -EINPROGRESS: not yet.
int outcome(int fd) noexcept {
  int failure = 0;
  if (const int result = os::get_option(fd, SOL_SOCKET, SO_ERROR, failure); result < 0)
    return result;
  if (failure != 0) return -failure;
  // No error is also what a connect in progress says, if the wake-up was not about this.
  os::socket_address peer;
  const int result = os::remote_address(fd, peer);
  return result == -ENOTCONN ? -EINPROGRESS : result;
}

// Connects and registers; below 0: an error, or `v`.
int connect_and_attach(descriptor& d, operation& op, const endpoint& to, verdict& v) noexcept {
  constexpr std::int64_t pause_first_ns = 1'000'000;
  constexpr std::int64_t pause_last_ns = 64'000'000;
  const os::socket_address address = to_system(to, system_family(to));
  int result = os::connect_socket(op.fd(), address);
  // A Unix listener whose queue is full: nothing tells when it has room.
  for (std::int64_t ns = pause_first_ns; result == -EAGAIN && v == verdict::go;) {
    v = op.pause(ns);
    if (ns < pause_last_ns) ns *= 2;
    if (v == verdict::go) result = os::connect_socket(op.fd(), address);
  }
  if (result < 0 && result != -EINPROGRESS) return result;
  // Registered only now: epoll reports a socket that is not even connecting as hung up.
  if (const int problem = poll::attach(d); problem != 0) return -problem;
  while (result == -EINPROGRESS && v == verdict::go) {
    v = op.prepare();
    if (v != verdict::go) break;
    result = outcome(op.fd());
    if (result == -EINPROGRESS) v = op.wait();
  }
  return result;
}

// A connect to a free port of the range that the system takes its own from may meet itself.
bool met_itself(int fd, const endpoint& to) {
  if (!to.is_loopback()) return false;
  os::socket_address own;
  return os::local_address(fd, own) == 0 && from_system(own) == to;
}

}  // namespace

conn connect_to(const context& ctx, const endpoint& to, std::error_code& error) {
  error = ctx.err();
  if (error) return {};
  const int fd = os::open_socket(system_family(to), SOCK_STREAM);
  if (fd < 0) {
    error = system_error_of(fd);
    return {};
  }
  if (to.is_ip()) set_tcp_defaults(fd);
  int problem = 0;
  descriptor* d = poll::adopt_unattached(fd, problem);
  if (d == nullptr) {
    os::close_descriptor(fd);
    error = system_error_of(-problem);
    return {};
  }
  d->quick_reads.store_relaxed(to.is_ip());
  detail::socket_handle handle(d);
  verdict v = verdict::go;
  int result = 0;
  {
    operation op(d, &descriptor::write);
    const cancelable hook(ctx, *d);
    result = connect_and_attach(*d, op, to, v);
    if (v == verdict::go && result == 0 && met_itself(fd, to)) result = -ECONNREFUSED;
  }
  if (v != verdict::go) {
    error = ctx.err();
  } else if (result < 0) {
    error = system_error_of(result);
  } else {
    poll::clear_expired(d->write);  // [dial-1]
    return conn(std::move(handle));
  }
  return {};
}

std::vector<endpoint> interleave(std::span<const endpoint> addresses) {
  std::vector<endpoint> turns;
  std::vector<endpoint> others;
  for (const endpoint& e : addresses)
    (e.family() == addresses[0].family() ? turns : others).push_back(e);
  auto at = turns.begin();
  for (endpoint& e : others) {
    if (at != turns.end()) ++at;
    at = turns.insert(at, std::move(e)) + 1;
  }
  return turns;
}

namespace {

// What one of `left` addresses that are tried one after the other may take of the time that is left
// for all: its share, but 2 s (a few lost packets) if that is no more than half of it.
std::chrono::nanoseconds share_of(std::chrono::nanoseconds rest, std::size_t left) noexcept {
  constexpr std::chrono::nanoseconds enough = std::chrono::seconds(2);
  return std::max(rest / static_cast<std::int64_t>(left), std::min(enough, rest / 2));
}

// As connect_to(), but without a stagger a silent address leaves time for the others.
conn connect_in_turn(const context& ctx, const endpoint& to, bool is_staggered, std::size_t left,
                     std::error_code& error) {
  const auto until = ctx.deadline();
  if (is_staggered || left == 1 || !until) return connect_to(ctx, to, error);
  // The context's time may be any, also one whose distance from now is no number.
  const std::chrono::nanoseconds rest(gort::detail::deadline_at(*until) - gort::detail::now_ns());
  const auto [own, cancel] = with_timeout(ctx, share_of(rest, left));
  conn made = connect_to(own, to, error);
  if (error && error == own.err() && !ctx.err()) error = errc::timed_out;
  return made;
}

}  // namespace

conn race(const context& ctx, std::span<const endpoint> addresses, std::chrono::nanoseconds stagger,
          std::error_code& error) {
  if (addresses.empty()) {
    error = errc::no_address;
    return {};
  }
  if (addresses.size() == 1) return connect_to(ctx, addresses[0], error);
  struct finish {
    conn made;
    std::error_code error;
  };
  const auto finishes = make_chan<finish>(static_cast<std::int64_t>(addresses.size()));
  const auto [running_ctx, cancel] = with_cancel(ctx);
  const bool is_staggered = stagger >= stagger.zero();
  std::error_code first_error;
  std::size_t started = 0;
  std::size_t running = 0;
  for (;;) {
    if (started < addresses.size()) {
      go([=, to = addresses[started], left = addresses.size() - started, ctx_of_one = running_ctx] {
        finish f;
        f.made = connect_in_turn(ctx_of_one, to, is_staggered, left, f.error);
        finishes.send(std::move(f));
      });
      ++started;
      ++running;
    }
    std::optional<finish> f;
    if (started < addresses.size() && is_staggered) {
      auto in_time = finishes.recv_for(stagger);
      if (!in_time) continue;
      f = std::move(*in_time);
    } else {
      f = finishes.recv();
    }
    --running;
    if (!f->error) return std::move(f->made);
    if (!first_error) first_error = f->error;
    if (ctx.err() || (running == 0 && started == addresses.size())) break;
  }
  error = ctx.err() ? ctx.err() : first_error;
  return {};
}

namespace {

conn dial_within(const context& ctx, std::string_view address, const dial_options& options,
                 std::error_code& error) {
  if (address.starts_with("unix:")) {
    const endpoint to = endpoint::parse(address, error);
    return error ? conn() : connect_to(ctx, to, error);
  }
  const host_port parts = split_address(address, error);
  if (error) return {};
  if (parts.host.empty()) {  // this machine
    const endpoint six = endpoint::parse("[::1]:0").with_port(parts.port);
    const endpoint four = endpoint::ip4({127, 0, 0, 1}, parts.port);
    return race(ctx, std::vector<endpoint>{four, six}, options.stagger, error);
  }
  std::vector<endpoint> found = resolve(ctx, parts.host, error);
  if (error) return {};
  for (endpoint& e : found) e = e.with_port(parts.port);
  return race(ctx, interleave(found), options.stagger, error);
}

}  // namespace

conn dial(const context& ctx, std::string_view address, const dial_options& options,
          std::error_code& error) {
  error.clear();
  if (options.timeout == options.timeout.zero()) return dial_within(ctx, address, options, error);
  const auto [bounded, cancel] = with_timeout(ctx, options.timeout);
  conn made = dial_within(bounded, address, options, error);
  if (error && error == bounded.err() && !ctx.err()) error = errc::timed_out;
  return made;
}

conn dial(const context& ctx, std::string_view address, const dial_options& options) {
  return or_throw("dial", address,
                  [&](std::error_code& e) { return dial(ctx, address, options, e); });
}

}  // namespace gort::net
