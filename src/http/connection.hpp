// One connection of a server: requests in, responses out, in order.
//
// Invariants
//   [conn-1] Nothing blocks on input while there is output that has not been sent: every read goes
//            through fill(), which flushes first. Nor does a handler run before the response to the
//            request before its own has been sent: the client may need that one to let this handler
//            end, and one that sends requests and reads nothing costs one response of memory.
//   [conn-2] While it waits for a request with no byte of it here, the connection holds no
//            exchange, so an idle one is its goroutine's stack and the socket. After `trim_after`
//            it gives back what a handler has used of that stack.
//   [conn-3] A connection is used for another request only if the body of the last one has been
//   read
//            to its end and the response was framed.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include <gort/context.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/http/message.hpp>
#include <gort/http/stream.hpp>

#include "http/exchange.hpp"
#include "http/lazy_deadline.hpp"
#include "http/server_state.hpp"

namespace gort::http {

class server_response;

class connection final : public detail::request_source {
 public:
  enum class phase : std::uint8_t { idle, active, ending };

  connection(server::state& server, std::unique_ptr<stream> s);
  connection(const connection&) = delete;
  ~connection();

  /// Until the connection ends.
  void run();

  /// For server::state, under its lock.
  connection* list_next = nullptr;
  connection* list_previous = nullptr;
  void end(bool even_if_active) noexcept;

  // detail::request_source
  std::size_t read_body(std::span<std::byte> into, std::error_code& error) override;
  void limit_body(std::uint64_t bytes) override { body_limit_ = bytes; }
  void extend_write_timeout(std::chrono::nanoseconds more) noexcept override;
  std::string remote_address() const override { return stream_->remote_address(); }
  bool is_tls() const noexcept override { return stream_->is_tls(); }
  context make_context() override;

  // For server_response.
  exchange& x() noexcept { return *exchange_; }
  bool keep_alive() const noexcept { return keep_alive_; }
  void close_after_response() noexcept { keep_alive_ = false; }
  /// The head of the response is decided: too late for "100 Continue".
  void head_is_out() noexcept;
  /// The handler itself has sent "100 Continue".
  void continue_is_said() noexcept { expects_continue_ = false; }
  void log(std::string_view line) const { server_.log(line); }
  int version_minor() const noexcept { return x_request().version_minor(); }
  bool is_head() const noexcept { return is_head_; }
  /// Sends what has gathered, and `more` behind it without copying.
  void flush(std::span<const std::byte> more, std::error_code& error);
  /// Reads what the handler has left of the body, so that the connection can go on; false: too
  /// much, or broken.
  bool drain_body() { return body_ == body_kind::none ? !body_error_ : drain_rest(); }
  std::string_view date();

 private:
  enum class body_kind : std::uint8_t { none, length, chunked };
  /// What comes after a request. `broken`: not to be taken for an orderly end.
  enum class step : std::uint8_t { again, close, linger, broken };

  /// A deadline that ends a read in progress.
  static constexpr stream::time_point long_ago{std::chrono::nanoseconds(1)};
  /// Short enough to matter, long enough for connections in use not to come near it.
  static constexpr std::chrono::nanoseconds trim_after{std::chrono::seconds(3)};

  const request& x_request() const noexcept { return exchange_->request; }
  bool drain_rest();
  bool wait_for_request();
  std::size_t read_first(std::error_code& error);
  std::span<std::byte> begin_request();
  stream::time_point header_limit() const;
  void end_exchange() noexcept;
  bool become_idle() noexcept;
  step serve_one();
  int read_head(step& on_failure);
  int check_head(std::size_t size);
  void refuse(int status);
  bool call_handler(server_response& response);
  void answer_exception(server_response& response, int status);
  std::size_t fill(std::error_code& error);
  std::size_t wait_for_body(std::span<std::byte> into, std::error_code& error);
  void arm_body_read(stream::time_point now);
  void send_continue(std::error_code& error);
  void arm_write();
  void linger();
  void say_goodbye() noexcept;
  void watch_client();
  void watch() noexcept;
  void stop_watching() noexcept;

  server::state& server_;
  const std::unique_ptr<stream> stream_;
  lazy_deadline read_deadline_;
  lazy_deadline write_deadline_;
  bool has_asked_ = false;             // a first request has been read
  bool stack_is_used_ = false;         // since it was last trimmed
  bool head_is_timed_ = false;         // the read deadline is that of the next head
  gort::detail::atomic<phase> phase_;  // [srv-2]
  std::unique_ptr<exchange> exchange_;

  // Of the current request.
  body_kind body_ = body_kind::none;
  bool keep_alive_ = true;
  bool is_head_ = false;
  bool expects_continue_ = false;
  bool head_is_out_ = false;
  std::error_code body_error_;
  std::uint64_t body_left_ = 0;  // of body_kind::length
  std::uint64_t body_read_ = 0;
  std::uint64_t body_limit_ = 0;
  std::chrono::nanoseconds body_waited_{0};
  stream::time_point read_limit_{};  // from the timeouts of a whole request
  stream::time_point write_limit_{};
};

}  // namespace gort::http
