// One request and its response, as the client sees them, and the connection that carries them.
//
// Invariants
//   [cli-1] A connection is in the pool or belongs to one exchange. It goes back only if the
//           response has been read to its end, the request has been sent to its end, both sides
//           want to keep it, and no cancellation can reach it any more.
//   [cli-2] Large and streamed bodies are sent by a goroutine of their own, so that an answer that
//           begins before the end of the request is read, and neither side waits for the other.
//           When the answer has ended before, the goroutine is told to give up; reading to the end
//           does not wait for it, as the program's function may block. close() does, for a while.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include <gort/context.hpp>
#include <gort/http/client.hpp>
#include <gort/mutex.hpp>
#include <gort/time.hpp>

#include "http/chunked_body.hpp"
#include "http/client_upload.hpp"
#include "http/input_buffer.hpp"
#include "http/message_parser.hpp"
#include "http/tls.hpp"
#include "http/url.hpp"

namespace gort::http::detail {

struct client_connection {
  std::shared_ptr<stream> wire;  // shared with whoever may cancel
  std::string key;
  input_buffer in;
  bool used = false;
  time_point idle_since{};
};

struct client_state : std::enable_shared_from_this<client_state> {
  explicit client_state(client_options o) : options(fit_for_the_wire(std::move(o))) {}

  const client_options options;

  /// From the pool, or null.
  std::unique_ptr<client_connection> take(const std::string& key);
  void put(std::unique_ptr<client_connection> c);
  void close_idle();
  /// A new connection.
  std::unique_ptr<client_connection> connect(const context& ctx, const url& to,
                                             std::error_code& error);

 private:
  static client_options fit_for_the_wire(client_options o);
  void sweep();
  std::shared_ptr<tls_config> tls(std::error_code& error);

  mutex lock_;
  std::map<std::string, std::deque<std::unique_ptr<client_connection>>> idle_;  // guarded by lock_
  std::shared_ptr<tls_config> tls_;                                             // likewise
  timer sweeper_;                                                               // likewise
  bool sweeping_ = false;                                                       // likewise
};

class client_exchange {
 public:
  client_exchange(std::shared_ptr<client_state> client, context ctx, cancel_function cancel);
  ~client_exchange() { close(); }

  /// Sends the request and reads the response's head. With an error, `may_retry` says whether
  /// another connection may be tried.
  void perform(std::unique_ptr<client_connection> c, const url& to, const client_request& request,
               std::error_code& error, bool& may_retry);

  std::size_t read(std::span<std::byte> into, std::error_code& error);
  void close() noexcept;

  int status = 0;
  headers fields;
  std::optional<std::uint64_t> length;
  std::string final_url;
  bool reused = false;
  const context ctx;

 private:
  enum class body_kind : std::uint8_t { none, length, chunked, until_end };

  void send(const url& to, const client_request& request, std::error_code& error);
  bool read_head(bool is_head, bool& any, std::error_code& error);
  void look_for_end();
  /// Ends the connection without waiting for an upload.
  void hang_up() noexcept;
  void explain(std::error_code& error) const;

  const std::shared_ptr<client_state> client_;
  cancel_function cancel_;
  std::unique_ptr<client_connection> conn_;  // null: given back or closed
  std::optional<after_func_stop> stop_watching_;
  std::vector<field_slices> slices_;
  std::optional<response_parser> parser_;
  std::optional<chunk_decoder> decoder_;  // of body_kind::chunked
  body_kind body_ = body_kind::none;
  std::uint64_t left_ = 0;  // of body_kind::length
  bool keep_ = false;
  std::error_code failed_;
  std::optional<client_upload> upload_;
};

}  // namespace gort::http::detail
