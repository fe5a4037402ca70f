// What the kinds of sockets have in common.
#include <algorithm>
#include <chrono>

#include <gort/detail/timed_park.hpp>

#include "net/io.hpp"

namespace gort::detail {

void socket_handle::drop() noexcept {
  if (owned_ != nullptr) poll::abandon(*owned_);
  owned_ = nullptr;
}

}  // namespace gort::detail

namespace gort::net {

endpoint local_of(poll::descriptor* d) {
  poll::hold open(d);
  os::socket_address a;
  return open && os::local_address(open.fd(), a) == 0 ? from_system(a) : endpoint();
}

endpoint remote_of(poll::descriptor* d) {
  poll::hold open(d);
  os::socket_address a;
  return open && os::remote_address(open.fd(), a) == 0 ? from_system(a) : endpoint();
}

bool is_open(poll::descriptor* d) noexcept { return bool(poll::hold(d)); }

int number_of(poll::descriptor* d) noexcept {
  poll::hold open(d);
  return open ? open.fd() : -1;
}

int give_number_of(poll::descriptor* d) noexcept {
  // What the program does with it comes after that [poll-6].
  if (d != nullptr) d->quick_reads.store_relaxed(false);
  return number_of(d);
}

void close_socket(poll::descriptor* d, std::error_code& error) noexcept {
  error.clear();
  if (d == nullptr || !poll::close(*d)) error = errc::closed;
}

void set_deadlines(poll::descriptor* d, deadline when, bool reads, bool writes,
                   std::error_code& error) {
  error.clear();
  std::int64_t when_ns = 0;
  if (when != deadline{}) when_ns = std::max<std::int64_t>(detail::deadline_at(when), 1);
  if (d == nullptr || (reads && !poll::set_deadline(*d, d->read, when_ns)) ||
      (writes && !poll::set_deadline(*d, d->write, when_ns)))
    error = errc::closed;
}

endpoint parse_local(std::string_view text, bool& any, std::error_code& error) {
  any = text.starts_with(':');
  if (!any) return endpoint::parse(text, error);
  error.clear();
  const host_port parts = split_address(text, error);
  return endpoint::ip6({}, parts.port);
}

int open_bound(endpoint& at, bool any, int type, bool reuse_port, std::error_code& error) noexcept {
  int fd = os::open_socket(system_family(at), type);
  if (any && (fd == -EAFNOSUPPORT || fd == -EINVAL)) {
    at = endpoint::ip4({}, at.port());
    fd = os::open_socket(AF_INET, type);
  }
  if (fd < 0) {
    error = system_error_of(fd);
    return fd;
  }
  // [::] is every address of both families, as in Go.
  if (at.family() == family::ip6)
    os::set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, at.is_unspecified() ? 0 : 1);
  int result = 0;
  if (at.is_ip() && type == SOCK_STREAM) result = os::set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (result == 0 && at.is_ip() && reuse_port)
    result = os::set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (result == 0) result = os::bind_socket(fd, to_system(at, system_family(at)));
  // A kernel booted without IPv6 addresses still makes such sockets.
  if (result == -EADDRNOTAVAIL && any && at.family() == family::ip6) {
    os::close_descriptor(fd);
    at = endpoint::ip4({}, at.port());
    return open_bound(at, false, type, reuse_port, error);
  }
  if (result < 0) {
    os::close_descriptor(fd);
    error = system_error_of(result);
    return result;
  }
  return fd;
}

int set_keep_alive_options(int fd, int idle_s) noexcept {
  if (idle_s <= 0) return os::set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 0);
  int result = os::set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  if (result == 0) result = os::set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle_s);
  if (result == 0) result = os::set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, idle_s);
  return result;
}

void set_tcp_defaults(int fd) noexcept {
  constexpr int keep_alive_s = 15;
  os::set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_keep_alive_options(fd, keep_alive_s);
}

detail::socket_handle own(int fd, bool is_tcp, std::error_code& error) noexcept {
  int problem = 0;
  poll::descriptor* d = poll::adopt(fd, problem);
  if (d == nullptr) {
    os::close_descriptor(fd);
    error = system_error_of(-problem);
    return {};
  }
  d->quick_reads.store_relaxed(is_tcp);
  return detail::socket_handle(d);
}

}  // namespace gort::net
