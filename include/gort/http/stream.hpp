/// What HTTP speaks over: bytes both ways, with deadlines.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <system_error>

#include <gort/net/conn.hpp>

namespace gort::http {

/// Implemented by connections of gort::net, by TLS over any stream, and by whatever a program wants
/// to serve on. Operations block the goroutine (or plain thread) only. At any time one goroutine
/// may read and another one write; close() and the deadlines may come from any.
class stream {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  stream() = default;
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;
  virtual ~stream() = default;

  /// Blocks until at least one byte is there; 0 without an error: the end.
  virtual std::size_t read(std::span<std::byte> into, std::error_code& error) = 0;
  /// Blocks until read() will probably not block. Holds no buffer.
  virtual void wait_readable(std::error_code& error) = 0;
  /// Both in one, into what room() gives when there is something to read, as
  /// net::conn::read_when_readable().
  virtual std::size_t read_when_readable(const std::function<std::span<std::byte>()>& room,
                                         std::error_code& error) {
    wait_readable(error);
    return error ? 0 : read(room(), error);
  }
  /// Whether bytes, the end or an error are here already, as far as can be told without blocking.
  virtual bool has_input() noexcept { return false; }
  /// Blocks until all is written; returns how much was.
  virtual std::size_t write(std::span<const std::byte> from, std::error_code& error) = 0;
  virtual std::size_t write_vectored(std::span<const std::span<const std::byte>> pieces,
                                     std::error_code& error) = 0;
  /// Ends the outgoing direction.
  virtual void close_write(std::error_code& error) = 0;
  /// Both directions; operations in progress fail. A second call does nothing.
  virtual void close() noexcept = 0;

  /// When operations fail with std::errc::timed_out; time_point{}: never. Counts for those in
  /// progress too: a deadline in the past ends them.
  virtual void set_read_deadline(time_point when) = 0;
  virtual void set_write_deadline(time_point when) = 0;

  /// "127.0.0.1:51234", for logs; still there when the other side has gone.
  virtual std::string remote_address() const = 0;
  virtual bool is_tls() const noexcept { return false; }
};

/// A network connection as a stream. Its remote_address() is that of now.
std::unique_ptr<stream> make_stream(net::conn connection);
/// The same, with the address that accept() gave.
std::unique_ptr<stream> make_stream(net::conn connection, net::endpoint remote);

}  // namespace gort::http
