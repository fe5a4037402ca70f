/// The HTTP/1.1 server.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include <gort/context.hpp>
#include <gort/http/message.hpp>
#include <gort/http/stream.hpp>
#include <gort/net/listener.hpp>

namespace gort::http {

/// A duration of 0 is no limit, as is a size of 0. A TLS handshake may take the least of
/// read_header_timeout, read_timeout and write_timeout, as in Go.
struct server_options {
  /// From the first byte of a request to the end of its header; also how long a new connection may
  /// say nothing.
  std::chrono::nanoseconds read_header_timeout{std::chrono::seconds(10)};
  /// From the first byte of a request to the end of its body.
  std::chrono::nanoseconds read_timeout{0};
  /// How long the client may send nothing while a body is read.
  std::chrono::nanoseconds read_stall_timeout{std::chrono::seconds(30)};
  /// Bytes per second that a body must come at, on average over the time that was spent waiting for
  /// it, once read_stall_timeout has been waited for it in all. Not for bodies of
  /// read_stall_timeout 0; a handler that reads a slow stream all day wants a server with 0 here.
  std::uint64_t min_body_rate = 240;
  /// From the end of a request's header to the end of the response.
  std::chrono::nanoseconds write_timeout{0};
  /// How long the client may take for each 128 KiB of the response.
  std::chrono::nanoseconds write_stall_timeout{std::chrono::seconds(30)};
  /// How long a connection may wait for its next request; it may take a quarter longer.
  std::chrono::nanoseconds idle_timeout{std::chrono::seconds(120)};
  std::size_t max_header_bytes = std::size_t{1} << 20;
  /// More fields than this are answered 431; 0: as many as take max_header_bytes of memory besides
  /// their text. Go: http.DefaultMaxHeaderValueCount.
  std::size_t max_header_fields = 500;
  std::uint64_t max_body_bytes = std::uint64_t{32} << 20;
  /// Further ones wait in the system's backlog.
  std::size_t max_connections = 100'000;
  /// Gets one message at a time, without its end: a line, and of a handler's exception the lines of
  /// its stack behind it. Null: standard error.
  std::function<void(std::string_view line)> log = {};
  /// Parent of the requests' contexts.
  gort::context base_context = {};
  /// Stack of the connections' goroutines, on which handlers run: room for what libraries need
  /// there. Only what is touched costs memory. 0: gort's default (192 KiB).
  std::size_t stack = std::size_t{2} << 20;
};

/// Serves connections, each on a goroutine of its own. All members may be called from anywhere.
/// Go: http.Server.
class server {
 public:
  /// Throws std::invalid_argument for an empty handler and for a stack above 1 GiB.
  explicit server(handler h, server_options options = {});
  server(const server&) = delete;
  server& operator=(const server&) = delete;
  /// close(), then waits for the handlers that run; not for serve() to return, which may still be
  /// on its way out.
  ~server();

  /// Accepts and serves until shutdown() or close(), then returns errc::server_closed; other errors
  /// are the listener's. Go: Serve.
  std::error_code serve(net::listener listener);
  /// The same over TLS, with files in PEM format: the certificate (and its chain) and the key.
  /// Go: ServeTLS.
  std::error_code serve_tls(net::listener listener, const std::string& certificate,
                            const std::string& key);
  /// listen() and serve(). Go: ListenAndServe.
  std::error_code listen_and_serve(std::string_view address);
  std::error_code listen_and_serve_tls(std::string_view address, const std::string& certificate,
                                       const std::string& key);
  /// Serves one connection on the calling goroutine (or plain thread) until it ends. Throws
  /// std::invalid_argument for null.
  void serve_connection(std::unique_ptr<stream> connection);

  /// Stops accepting, closes idle connections, starts what register_on_shutdown() was given, and
  /// blocks until the others have answered their request, or until the context is cancelled, whose
  /// error it returns then. Go: Shutdown.
  std::error_code shutdown(const context& ctx);
  /// Has f called, on a goroutine of its own, by each shutdown() from now on, which does not wait
  /// for it: the place to end streams, whose handlers shutdown() waits for. Not by close(). Throws
  /// std::invalid_argument for an empty one. Go: RegisterOnShutdown.
  void register_on_shutdown(std::function<void()> f);
  /// Stops accepting and closes all connections; handlers find their connection gone. Go: Close.
  void close();

  /// Connections that are open now.
  std::size_t connections() const noexcept;

  class state;  // of the library

 private:
  std::shared_ptr<state> state_;
};

}  // namespace gort::http
