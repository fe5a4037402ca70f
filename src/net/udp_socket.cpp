#include <gort/net/udp_socket.hpp>

#include "net/io.hpp"

namespace gort::net {

using poll::descriptor;
using poll::operation;

namespace {

detail::socket_handle own_datagrams(int fd, int family, std::error_code& error) noexcept {
  detail::socket_handle handle = own(fd, false, error);
  if (handle.get() != nullptr) handle.get()->address_family = static_cast<std::uint16_t>(family);
  return handle;
}

}  // namespace

udp_socket udp_socket::bind(std::string_view address, std::error_code& error) {
  bool any = false;
  endpoint at = parse_local(address, any, error);
  if (!error && !at.is_ip()) error = errc::invalid_address;
  if (error) return {};
  const int fd = open_bound(at, any, SOCK_DGRAM, false, error);
  if (fd < 0) return {};
  return udp_socket(own_datagrams(fd, system_family(at), error));
}

udp_socket udp_socket::connect(const endpoint& to, std::error_code& error) {
  error.clear();
  if (!to.is_ip()) {
    error = errc::invalid_address;
    return {};
  }
  const int family = system_family(to);
  const int fd = os::open_socket(family, SOCK_DGRAM);
  int result = fd;
  if (fd >= 0) {
    result = os::connect_socket(fd, to_system(to, family));
    if (result < 0) os::close_descriptor(fd);
  }
  if (result < 0) {
    error = system_error_of(result);
    return {};
  }
  return udp_socket(own_datagrams(fd, family, error));
}

void udp_socket::send_to(std::span<const std::byte> datagram, const endpoint& to,
                         std::error_code& error) {
  error.clear();
  operation op(handle_.get(), &descriptor::write);
  os::socket_address address;
  if (op) {
    address = to_system(to, handle_.get()->address_family);
    if (address.bytes == 0) {
      error = errc::invalid_address;
      return;
    }
  }
  when_ready(op, error,
             [&](int fd) { return os::send_to(fd, datagram.data(), datagram.size(), address); });
}

void udp_socket::send(std::span<const std::byte> datagram, std::error_code& error) {
  error.clear();
  operation op(handle_.get(), &descriptor::write);
  when_ready(op, error, [&](int fd) { return os::send(fd, datagram.data(), datagram.size()); });
}

std::size_t udp_socket::recv_from(std::span<std::byte> into, endpoint& from,
                                  std::error_code& error) {
  error.clear();
  operation op(handle_.get(), &descriptor::read);
  os::socket_address address;
  const std::int64_t got = when_ready(
      op, error, [&](int fd) { return os::receive_from(fd, into.data(), into.size(), address); });
  if (got < 0) return 0;
  from = from_system(address);
  return static_cast<std::size_t>(got);
}

std::size_t udp_socket::recv(std::span<std::byte> into, std::error_code& error) {
  error.clear();
  operation op(handle_.get(), &descriptor::read);
  const std::int64_t got =
      when_ready(op, error, [&](int fd) { return os::receive(fd, into.data(), into.size(), 0); });
  return got < 0 ? 0 : static_cast<std::size_t>(got);
}

void udp_socket::close(std::error_code& error) noexcept { close_socket(handle_.get(), error); }
void udp_socket::set_deadline(deadline when, std::error_code& error) {
  set_deadlines(handle_.get(), when, true, true, error);
}
void udp_socket::set_read_deadline(deadline when, std::error_code& error) {
  set_deadlines(handle_.get(), when, true, false, error);
}
void udp_socket::set_write_deadline(deadline when, std::error_code& error) {
  set_deadlines(handle_.get(), when, false, true, error);
}

bool udp_socket::is_open() const noexcept { return net::is_open(handle_.get()); }
endpoint udp_socket::local_endpoint() const { return local_of(handle_.get()); }
endpoint udp_socket::remote_endpoint() const { return remote_of(handle_.get()); }
int udp_socket::native_handle() const noexcept { return number_of(handle_.get()); }

// --- the same, throwing

udp_socket udp_socket::bind(std::string_view address) {
  return or_throw("listen", address, [&](std::error_code& e) { return bind(address, e); });
}
udp_socket udp_socket::connect(const endpoint& to) {
  return or_throw("dial", std::string_view(to.to_string()),
                  [&](std::error_code& e) { return connect(to, e); });
}
void udp_socket::send_to(std::span<const std::byte> datagram, const endpoint& to) {
  or_throw("write", handle_.get(), [&](std::error_code& e) { send_to(datagram, to, e); });
}
void udp_socket::send(std::span<const std::byte> datagram) {
  or_throw("write", handle_.get(), [&](std::error_code& e) { send(datagram, e); });
}
std::size_t udp_socket::recv_from(std::span<std::byte> into, endpoint& from) {
  return or_throw("read", handle_.get(),
                  [&](std::error_code& e) { return recv_from(into, from, e); });
}
std::size_t udp_socket::recv(std::span<std::byte> into) {
  return or_throw("read", handle_.get(), [&](std::error_code& e) { return recv(into, e); });
}
void udp_socket::close() {
  or_throw("close", handle_.get(), [&](std::error_code& e) { close(e); });
}
void udp_socket::set_deadline(deadline when) {
  or_throw("set", handle_.get(), [&](std::error_code& e) { set_deadline(when, e); });
}
void udp_socket::set_read_deadline(deadline when) {
  or_throw("set", handle_.get(), [&](std::error_code& e) { set_read_deadline(when, e); });
}
void udp_socket::set_write_deadline(deadline when) {
  or_throw("set", handle_.get(), [&](std::error_code& e) { set_write_deadline(when, e); });
}

}  // namespace gort::net
