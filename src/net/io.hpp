// What the sockets of this room share: errors, addresses, and the loop around a system call.
#pragma once

#include <cerrno>
#include <cstdint>
#include <string_view>
#include <system_error>

#include <gort/net/conn.hpp>

#include "os/socket.hpp"
#include "poll/descriptor.hpp"

namespace gort::net {

/// Of a negated errno value.
inline std::error_code system_error_of(std::int64_t negated) noexcept {
  return {static_cast<int>(-negated), std::system_category()};
}

inline std::error_code error_of(poll::verdict v) noexcept {
  if (v == poll::verdict::go) return {};
  return v == poll::verdict::closed ? errc::closed : errc::timed_out;
}

/// Throws std::system_error("read tcp 127.0.0.1:1->127.0.0.1:2", error).
[[noreturn]] void throw_error(std::error_code error, const char* what, poll::descriptor* on);
[[noreturn]] void throw_error(std::error_code error, const char* what, std::string_view address);

/// Calls f(error) and throws what it reports.
template <class On, class F>
decltype(auto) or_throw(const char* what, const On& on, F f) {
  std::error_code error;
  if constexpr (std::is_void_v<decltype(f(error))>) {
    f(error);
    if (error) throw_error(error, what, on);
  } else {
    auto result = f(error);
    if (error) throw_error(error, what, on);
    return result;
  }
}

/// `family`: that of the socket, AF_INET6 takes IPv4 addresses too.
os::socket_address to_system(const endpoint& e, int family) noexcept;
endpoint from_system(const os::socket_address& a);
int system_family(const endpoint& e) noexcept;

endpoint local_of(poll::descriptor* d);
endpoint remote_of(poll::descriptor* d);
/// -1 when closed.
int number_of(poll::descriptor* d) noexcept;
/// The same, for a program that may set options.
int give_number_of(poll::descriptor* d) noexcept;
bool is_open(poll::descriptor* d) noexcept;
void close_socket(poll::descriptor* d, std::error_code& error) noexcept;
void set_deadlines(poll::descriptor* d, deadline when, bool reads, bool writes,
                   std::error_code& error);

/// The host and port of "host:port", "[host]:port".
struct host_port {
  std::string_view host;
  std::uint16_t port = 0;
};
host_port split_address(std::string_view text, std::error_code& error) noexcept;
/// Where to listen: an endpoint, or every address of this machine (`any`) for ":80".
endpoint parse_local(std::string_view text, bool& any, std::error_code& error);
/// A new socket bound to it; the other family if `any` and there is no IPv6. Below 0: an error.
int open_bound(endpoint& at, bool any, int type, bool reuse_port, std::error_code& error) noexcept;

/// What a TCP socket has from birth, as Go's: no delay, keep-alive after 15 s. Accepted ones
/// inherit it from their listener.
void set_tcp_defaults(int fd) noexcept;
int set_keep_alive_options(int fd, int idle_s) noexcept;

/// Makes a handle of a new socket; closes it if that fails.
detail::socket_handle own(int fd, bool is_tcp, std::error_code& error) noexcept;

/// The system call, repeated until it does not say EAGAIN. Negative: see `error`.
template <class Call>
std::int64_t when_ready(poll::operation& op, std::error_code& error, Call call) {
  if (!op) {
    error = errc::closed;
    return -1;
  }
  for (poll::verdict v = op.prepare();; v = op.prepare()) {
    if (v == poll::verdict::go) {
      const std::int64_t result = call(op.fd());
      if (result >= 0) return result;
      if (result != -EAGAIN) {
        error = system_error_of(result);
        return -1;
      }
      v = op.wait();
    }
    if (v != poll::verdict::go) {
      error = error_of(v);
      return -1;
    }
  }
}

}  // namespace gort::net
