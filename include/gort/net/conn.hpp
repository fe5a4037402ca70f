/// A connection: a stream of bytes each way, over TCP or a Unix-domain socket.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <system_error>

#include <gort/detail/socket_handle.hpp>
#include <gort/net/endpoint.hpp>
#include <gort/net/errors.hpp>

namespace gort::net {

/// When an operation gives up: a point of std::chrono::steady_clock; time_point{} is never.
using deadline = std::chrono::steady_clock::time_point;

/// Move-only; closes when destroyed. Go: net.TCPConn, net.UnixConn.
///
/// All members but moving and destroying may be called at any time from any number of goroutines
/// and plain threads: reads wait for each other, and so do writes (one call's bytes stay together);
/// close() and the deadlines reach operations in progress. Each operation blocks only its
/// goroutine (or plain thread). Errors: errc::closed after close() (also for those who wait),
/// errc::timed_out for a deadline, else the system's. The overloads without an error_code throw
/// std::system_error with the operation and both ends in what(). SIGPIPE is never raised.
class conn {
 public:
  /// Not connected: every operation gives errc::closed.
  conn() noexcept = default;
  explicit conn(detail::socket_handle handle) noexcept : handle_(std::move(handle)) {}

  /// Takes over a connected stream socket, made non-blocking; on an error it stays the caller's.
  /// Go: net.FileConn.
  static conn adopt(int fd, std::error_code& error);
  static conn adopt(int fd);

  bool is_open() const noexcept;

  /// Blocks until at least one byte is there; returns how many were read. 0 without an error: the
  /// other end has ended its stream (or `into` is empty). Go: Read.
  std::size_t read(std::span<std::byte> into, std::error_code& error);
  std::size_t read(std::span<std::byte> into);

  /// Blocks until there is something for read(): bytes, the end of the stream, or an error (which
  /// is not reported here). For idle connections that should hold no buffer. Seldom it returns for
  /// nothing, and read() then blocks.
  void wait_readable(std::error_code& error);
  void wait_readable();

  /// Whether bytes, the end of the stream or an error are there already; true after close(). Never
  /// blocks, and takes no turn.
  bool has_input() const noexcept;

  /// wait_readable() and read() in one: asks for `room` when there is something to read into it,
  /// and then possibly once more. Returns as read() does; 0 if the room is empty. room() may block,
  /// and what it throws passes through; it must not read from this connection, whose turn that is.
  std::size_t read_when_readable(const std::function<std::span<std::byte>()>& room,
                                 std::error_code& error);
  std::size_t read_when_readable(const std::function<std::span<std::byte>()>& room);

  /// Blocks until all bytes are handed to the system; returns how many were, which is all of them
  /// unless there is an error. Go: Write.
  std::size_t write(std::span<const std::byte> from, std::error_code& error);
  std::size_t write(std::span<const std::byte> from);

  /// Blocks until at least one byte is handed over; returns how many were.
  std::size_t write_some(std::span<const std::byte> from, std::error_code& error);
  std::size_t write_some(std::span<const std::byte> from);

  /// write() of several pieces, with as few system calls as possible. Go: net.Buffers.
  std::size_t write_vectored(std::span<const std::span<const std::byte>> pieces,
                             std::error_code& error);
  std::size_t write_vectored(std::span<const std::span<const std::byte>> pieces);

  /// Sends `count` bytes of a file from `offset` without copying them through the program; fewer
  /// if the file ends. The file's own position is not used. Reading it may block the thread for the
  /// time of a disk access. Go: ReadFrom with an os.File.
  std::size_t send_file(int fd, std::int64_t offset, std::size_t count, std::error_code& error);
  std::size_t send_file(int fd, std::int64_t offset, std::size_t count);

  /// Ends the stream to the other side, which reads the end of it; reading goes on. Go: CloseWrite.
  void close_write(std::error_code& error);
  void close_write();

  /// Wakes all who wait with errc::closed. The socket itself is closed when the last operation in
  /// progress has left it, so its number is not used by another meanwhile. A second call gives
  /// errc::closed. Never blocks. Go: Close.
  void close(std::error_code& error) noexcept;
  void close();

  /// The time after which reads, writes or both fail with errc::timed_out, from now on and for
  /// those that wait now; a new deadline makes the connection usable again. Go: SetDeadline,
  /// SetReadDeadline, SetWriteDeadline.
  void set_deadline(deadline when, std::error_code& error);
  void set_deadline(deadline when);
  void set_read_deadline(deadline when, std::error_code& error);
  void set_read_deadline(deadline when);
  void set_write_deadline(deadline when, std::error_code& error);
  void set_write_deadline(deadline when);

  /// TCP: send at once what is written (the default here, as in Go). Go: SetNoDelay.
  void set_no_delay(bool on, std::error_code& error);
  void set_no_delay(bool on);
  /// TCP: probe a silent peer after `idle` (whole seconds; 0 turns probing off). On by default with
  /// 15 s, as in Go. Go: SetKeepAlivePeriod.
  void set_keep_alive(std::chrono::seconds idle, std::error_code& error);
  void set_keep_alive(std::chrono::seconds idle);
  /// What closing does with unsent bytes: negative, sent in the background (the default); 0, thrown
  /// away and the connection reset; positive, sent, and closing blocks the thread for that time at
  /// most. Go: SetLinger.
  void set_linger(std::chrono::seconds wait, std::error_code& error);
  void set_linger(std::chrono::seconds wait);

  /// Of no family after close(). An unnamed Unix socket's is "unix:@".
  endpoint local_endpoint() const;
  endpoint remote_endpoint() const;

  /// The socket's number, for setsockopt(2) and the like; -1 after close(). It must stay
  /// non-blocking and open. From then on a read asks the system before it waits, one call more:
  /// with SO_RCVLOWAT or TLS in the kernel an event does not tell all.
  int native_handle() const noexcept;

 private:
  detail::socket_handle handle_;
};

}  // namespace gort::net
