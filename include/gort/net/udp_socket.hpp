/// Datagrams.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <system_error>

#include <gort/net/conn.hpp>

namespace gort::net {

/// Move-only; closes when destroyed. Concurrent use and errors as for conn. Go: net.UDPConn.
class udp_socket {
 public:
  /// Every operation gives errc::closed.
  udp_socket() noexcept = default;
  explicit udp_socket(detail::socket_handle handle) noexcept : handle_(std::move(handle)) {}

  /// Bound to "127.0.0.1:0", "[::1]:53", ":53". Numbers only; does not block. Go: net.ListenUDP.
  static udp_socket bind(std::string_view address, std::error_code& error);
  static udp_socket bind(std::string_view address);

  /// Bound to a free port, and connected: send() goes there, and nothing is received from
  /// elsewhere. Go: net.DialUDP.
  static udp_socket connect(const endpoint& to, std::error_code& error);
  static udp_socket connect(const endpoint& to);

  bool is_open() const noexcept;

  /// Sends one datagram; blocks while the system's buffer is full. Go: WriteToUDPAddrPort.
  void send_to(std::span<const std::byte> datagram, const endpoint& to, std::error_code& error);
  void send_to(std::span<const std::byte> datagram, const endpoint& to);
  /// To the endpoint that this socket is connected to. Go: Write.
  void send(std::span<const std::byte> datagram, std::error_code& error);
  void send(std::span<const std::byte> datagram);

  /// Blocks until a datagram is there; returns its size, which may be 0. What does not fit into
  /// `into` is lost. Go: ReadFromUDPAddrPort.
  std::size_t recv_from(std::span<std::byte> into, endpoint& from, std::error_code& error);
  std::size_t recv_from(std::span<std::byte> into, endpoint& from);
  std::size_t recv(std::span<std::byte> into, std::error_code& error);
  std::size_t recv(std::span<std::byte> into);

  /// As of conn.
  void close(std::error_code& error) noexcept;
  void close();
  void set_deadline(deadline when, std::error_code& error);
  void set_deadline(deadline when);
  void set_read_deadline(deadline when, std::error_code& error);
  void set_read_deadline(deadline when);
  void set_write_deadline(deadline when, std::error_code& error);
  void set_write_deadline(deadline when);

  endpoint local_endpoint() const;
  /// Of no family unless connected.
  endpoint remote_endpoint() const;
  int native_handle() const noexcept;

 private:
  detail::socket_handle handle_;
};

}  // namespace gort::net
