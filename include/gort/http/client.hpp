/// The HTTP/1.1 client.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include <gort/context.hpp>
#include <gort/http/errors.hpp>
#include <gort/http/headers.hpp>
#include <gort/http/status.hpp>
#include <gort/http/stream.hpp>

namespace gort::http {

/// A duration of 0 is no limit.
struct client_options {
  /// For all of an exchange: connecting, redirects, reading the body. Go: Timeout.
  std::chrono::nanoseconds timeout{0};
  std::chrono::nanoseconds dial_timeout{std::chrono::seconds(30)};
  std::chrono::nanoseconds tls_handshake_timeout{std::chrono::seconds(10)};
  /// From the end of the request to the end of the response's header.
  std::chrono::nanoseconds response_header_timeout{0};
  /// How long an unused connection is kept.
  std::chrono::nanoseconds idle_timeout{std::chrono::seconds(90)};
  std::size_t max_idle_per_host = 64;
  /// Of all heads of a response together: informational responses (1xx) count too. 0: no limit.
  std::size_t max_header_bytes = std::size_t{1} << 20;
  /// 0: a redirect is returned as it is.
  int max_redirects = 10;
  /// PEM file of the authorities to trust instead of the system's.
  std::string ca_file = {};
  /// TLS without verification: for tests.
  bool insecure_skip_verify = false;
  /// Line ends in it become blanks.
  std::string user_agent = "gort";
  /// Opens connections; null: net::dial over "host:port".
  std::function<std::unique_ptr<stream>(const context& ctx, const std::string& address,
                                        std::error_code& error)>
      dial = {};
};

/// What to ask for. Go: http.NewRequest.
struct client_request {
  std::string method = "GET";
  std::string url;
  headers header = {};
  std::string body = {};
  /// Instead of `body`, a stream: fills the span, returns how much, 0 at the end. Sent chunked
  /// unless content_length is set. It cannot be repeated for a redirect or a retry. Called in a
  /// goroutine of its own, so the response can be read while it blocks; not any more when do_() has
  /// failed or the response has been read to its end or closed. A call that has begun by then is
  /// waited for by do_() and by closing the response, one second at most: what may block for
  /// longer must own what it uses.
  std::function<std::size_t(std::span<std::byte> into)> body_reader = {};
  std::optional<std::uint64_t> content_length = {};
};

namespace detail {
struct client_state;
class client_exchange;
}  // namespace detail

/// What came back; move-only. When the body has been read to its end the connection goes back to
/// the client's pool; when the response is destroyed before, it is closed. Go: http.Response.
class response {
 public:
  response() noexcept;
  explicit response(std::unique_ptr<detail::client_exchange> exchange) noexcept;
  response(response&&) noexcept;
  response& operator=(response&&) noexcept;
  ~response();

  int status() const noexcept;
  const headers& header() const noexcept;
  std::string_view header(std::string_view name) const noexcept { return header().get(name); }
  /// Not set for chunked bodies and those that end with the connection.
  std::optional<std::uint64_t> content_length() const noexcept;
  /// After redirects.
  const std::string& url() const noexcept;
  /// Whether the connection had served before.
  bool reused_connection() const noexcept;

  /// Blocks until at least one byte is there; 0: the end.
  std::size_t read(std::span<std::byte> into, std::error_code& error);
  std::size_t read(std::span<std::byte> into);
  /// All that is left. Throws std::system_error; errc::body_too_large beyond `limit` bytes.
  std::string body(std::size_t limit = std::size_t{64} << 20);
  /// Closes the connection, unless the body has been read to its end. Waits for a body_reader, as
  /// is said there. Destroying does the same.
  void close() noexcept;

 private:
  std::unique_ptr<detail::client_exchange> exchange_;
};

/// Speaks HTTP/1.1 over connections that it keeps and reuses. Copies share them, and so does what
/// was moved from. All members may be called by any number of goroutines and plain threads at once.
/// Go: http.Client.
class client {
 public:
  explicit client(client_options options = {});
  client(const client&) = default;  // and no moves, which would leave a client that is none
  client& operator=(const client&) = default;

  /// Sends a request and returns when the response's header is here. Any status is a success;
  /// redirects are followed. A connection from the pool that turns out to be dead is replaced by a
  /// new one, if the method is idempotent. Errors: ctx.err(), those of net::dial(), errc,
  /// std::errc::invalid_argument for a method that is none.
  response do_(context ctx, const client_request& request, std::error_code& error);
  response do_(context ctx, const client_request& request);
  response do_(const client_request& request) { return do_(background(), request); }

  /// Throw std::system_error.
  response get(const std::string& url) { return get(background(), url); }
  response get(context ctx, const std::string& url);
  response head(const std::string& url);
  response post(const std::string& url, std::string_view content_type, std::string body) {
    return post(background(), url, content_type, std::move(body));
  }
  response post(context ctx, const std::string& url, std::string_view content_type,
                std::string body);

  /// Go: CloseIdleConnections.
  void close_idle_connections();

 private:
  std::shared_ptr<detail::client_state> state_;
};

}  // namespace gort::http
