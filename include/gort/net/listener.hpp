/// Accepting connections.
#pragma once

#include <string_view>
#include <system_error>

#include <gort/net/conn.hpp>

namespace gort::net {

struct listen_options {
  int backlog = 0;          ///< connections that wait to be accepted; 0: the system's maximum
  bool reuse_port = false;  ///< TCP: several listeners share the port and its connections
  /// Unix: close() removes the file that listen() has made (never another one that has its name by
  /// then). Off for a socket that a successor goes on listening on. Go: SetUnlinkOnClose.
  bool unlink_on_close = true;
};

/// Move-only; closes when destroyed. Goroutines and plain threads, any number at a time.
/// Go: net.TCPListener, net.UnixListener.
class listener {
 public:
  /// Every operation gives errc::closed.
  listener() noexcept = default;
  explicit listener(detail::socket_handle handle) noexcept : handle_(std::move(handle)) {}

  bool is_open() const noexcept;

  /// Blocks until there is a connection. When the process or the system is out of descriptors or
  /// memory it waits, 5 ms at first and up to 1 s, and tries again; connections that have ended
  /// before they were accepted are passed over. Errors: errc::closed (close() wakes those who
  /// wait), errc::timed_out. Go: Accept.
  conn accept(std::error_code& error);
  conn accept();
  /// Also says from whom, which conn::remote_endpoint() cannot once the other side has gone.
  conn accept(endpoint& from, std::error_code& error);

  /// Stops listening; wakes all in accept(). The file of a Unix socket is removed, if it is still
  /// the one that listen() has made and unless listen_options::unlink_on_close is off. A second
  /// call gives errc::closed. Never blocks.
  void close(std::error_code& error) noexcept;
  void close();

  /// As conn::set_read_deadline(), for accept(). Go: SetDeadline.
  void set_deadline(deadline when, std::error_code& error);
  void set_deadline(deadline when);

  /// With the port or name that the system chose, if port 0 or "unix:@" was asked for. Of no family
  /// after close().
  endpoint local_endpoint() const;
  int native_handle() const noexcept;

 private:
  detail::socket_handle handle_;
};

/// Listens on "127.0.0.1:80", "[::1]:0" (0: any free port), ":80" and "[::]:80" (all addresses,
/// IPv6 and IPv4), "0.0.0.0:80" (all of IPv4), "unix:/path", "unix:@abstract", "unix:@" (any free
/// abstract name). Numbers only; does not block. Throws std::system_error. Go: net.Listen.
listener listen(std::string_view address, const listen_options& options, std::error_code& error);
listener listen(std::string_view address, const listen_options& options = {});

}  // namespace gort::net
