/// What a handler gets: the request and the writer of its response.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <gort/context.hpp>
#include <gort/http/errors.hpp>
#include <gort/http/headers.hpp>
#include <gort/http/status.hpp>

namespace gort::http {

namespace detail {
/// Where a request's body comes from, and what else only the connection knows.
class request_source {
 public:
  virtual std::size_t read_body(std::span<std::byte> into, std::error_code& error) = 0;
  virtual void limit_body(std::uint64_t bytes) = 0;
  virtual void extend_write_timeout(std::chrono::nanoseconds more) noexcept = 0;
  virtual std::string remote_address() const = 0;
  virtual bool is_tls() const noexcept = 0;
  virtual context make_context() = 0;

 protected:
  ~request_source() = default;
};
}  // namespace detail

/// An incoming request. It and all texts it returns last until the handler returns; copy what must
/// live longer. For one goroutine at a time. Go: http.Request.
class request {
 public:
  request() = default;
  request(const request&) = delete;
  request& operator=(const request&) = delete;

  std::string_view method() const noexcept { return method_; }
  /// As it was sent: "/a%20b?x=1".
  std::string_view target() const noexcept { return target_; }
  /// Of the target, percent-decoded: "/a b". Go: URL.Path.
  std::string_view path() const noexcept { return path_; }
  /// Of the target, as it was sent: "/a%20b". Go: URL.EscapedPath.
  std::string_view raw_path() const noexcept { return raw_path_; }
  /// What follows the question mark, as it was sent. Go: URL.RawQuery.
  std::string_view query() const noexcept { return query_; }
  /// The first value of a key of the query or "", decoded. Go: URL.Query().Get.
  std::string query_value(std::string_view key) const;
  /// The Host field, or the authority of an absolute target. Go: Host.
  std::string_view host() const noexcept { return host_; }
  /// 0 or 1 of HTTP/1.x.
  int version_minor() const noexcept { return minor_; }

  const headers& header() const noexcept { return headers_; }
  /// The first value of a field, or "".
  std::string_view header(std::string_view name) const noexcept { return headers_.get(name); }

  /// Not set for a chunked body.
  std::optional<std::uint64_t> content_length() const noexcept { return length_; }
  /// Reads the body as it arrives; blocks until at least one byte is there, returns 0 at its end.
  /// The first call sends "100 Continue" to a client that expects it. Errors:
  /// errc::body_too_large (server_options::max_body_bytes, limit_body()), errc::malformed,
  /// errc::unexpected_eof, std::errc::timed_out. Go: Body.Read.
  std::size_t read(std::span<std::byte> into, std::error_code& error);
  std::size_t read(std::span<std::byte> into);
  /// All that is left of the body. Throws std::system_error. Go: io.ReadAll(Body).
  std::string body();
  /// Another limit than server_options::max_body_bytes for this request; 0: none. Before the first
  /// read. Go: http.MaxBytesReader.
  void limit_body(std::uint64_t bytes) {
    if (source_ != nullptr) source_->limit_body(bytes);
  }

  /// Moves the end of the time that server_options::write_timeout gives this response by so much,
  /// for one that is long in coming. Before anything is written. Go:
  /// ResponseController.SetWriteDeadline.
  void extend_write_timeout(std::chrono::nanoseconds more) noexcept {
    if (source_ != nullptr) source_->extend_write_timeout(more);
  }

  /// What the pattern's {name} matched, decoded; "" if it has none of that name. Go: PathValue.
  std::string_view path_value(std::string_view name) const noexcept;
  void set_path_value(std::string name, std::string value);
  /// The mux pattern that matched, or "". Go: Pattern.
  std::string_view pattern() const noexcept { return pattern_; }
  void set_pattern(std::string_view pattern) { pattern_ = pattern; }

  /// "127.0.0.1:51234", as of the time when the connection was accepted. Go: RemoteAddr.
  std::string remote_address() const {
    return source_ != nullptr ? source_->remote_address() : std::string();
  }
  bool is_tls() const noexcept { return source_ != nullptr && source_->is_tls(); }

  /// Cancelled when the handler has returned, when the server is closed, and when the client has
  /// gone: it has closed the connection or its sending half, which is seen once the body has been
  /// read to its end. Made at the first call, and watched from then on. Go: Context.
  const gort::context& context();
  /// For the handlers called with this request from now on: middleware adds values with it.
  /// Go: WithContext.
  void set_context(gort::context ctx) { context_ = std::move(ctx); }

 private:
  friend struct request_access;

  std::string_view method_;
  std::string_view target_;
  std::string_view path_;
  std::string_view raw_path_;
  std::string_view query_;
  std::string_view host_;
  int minor_ = 1;
  std::optional<std::uint64_t> length_;
  headers headers_;
  std::string decoded_path_;  // behind path_ where it differs from raw_path_
  std::string pattern_;
  std::vector<std::pair<std::string, std::string>> path_values_;
  std::optional<gort::context> context_;
  detail::request_source* source_ = nullptr;
};

/// Writes a response. Middleware may pass on one of its own that wraps this. For one goroutine at
/// a time. Go: http.ResponseWriter.
class response_writer {
 public:
  virtual ~response_writer() = default;

  /// The fields that will be sent; changes count until the head is on its way: after flush(), or
  /// after more than 4 KiB of body.
  virtual headers& header() = 0;
  /// The status; 200 if it is not called before the first write. From 102 to 199: sent at once,
  /// with the fields set so far, as an informational response before the real one. Go: WriteHeader.
  virtual void write_header(int code) = 0;
  /// Sends a part of the body. Short bodies are sent as a whole when the handler returns, with
  /// their Content-Length; longer ones as they come, chunked, unless the handler has set a
  /// Content-Length. Blocks while the client does not take it. Errors: errc::body_not_allowed,
  /// errc::content_length, the connection's (the client has gone; std::errc::timed_out).
  virtual void write(std::span<const std::byte> part, std::error_code& error) = 0;
  /// Sends what has been written so far. Go: http.Flusher.
  virtual void flush(std::error_code& error) = 0;

  /// The status that was or will be sent; 0 while undecided.
  virtual int status() const noexcept = 0;
  /// Of the body, so far.
  virtual std::uint64_t bytes_written() const noexcept = 0;

  void write(std::string_view text, std::error_code& error) {
    write(std::as_bytes(std::span(text.data(), text.size())), error);
  }
  /// These throw std::system_error.
  void write(std::span<const std::byte> part);
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }
  void flush();
};

/// Answers a request: any callable. Middleware is a function from handler to handler. An exception
/// that leaves it is logged, with the stack of the throw, and becomes a 500 (or breaks the
/// connection, if part of the response has been sent). Go: http.Handler.
using handler = std::function<void(request&, response_writer&)>;

/// Thrown by a handler to break the connection without an answer and without a line in the log.
/// Go: http.ErrAbortHandler.
struct abort_handler : std::exception {
  const char* what() const noexcept override { return "http: abort handler"; }
};

/// A short text with a status; fields that described another body are removed. Go: http.Error.
void error(response_writer& w, std::string_view text, int code);
/// 404. Go: http.NotFound.
void not_found(request& r, response_writer& w);
/// To another URL, which may be relative to the request's path. Go: http.Redirect.
void redirect(request& r, response_writer& w, std::string_view url, int code = status::found);

}  // namespace gort::http
