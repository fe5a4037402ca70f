/// Server-sent events.
#pragma once

#include <chrono>
#include <string_view>
#include <system_error>

#include <gort/http/message.hpp>

namespace gort::http {

struct event {
  std::string_view data;
  std::string_view name = {};  ///< "message" for the browser if empty
  std::string_view id = {};
  std::chrono::milliseconds retry{-1};  ///< when the browser connects again; negative: as before
};

/// Turns a response into a stream of events (text/event-stream): each send() arrives at once.
///     http::event_stream events(w);
///     for (auto& line : lines) events.send({.data = line});
class event_stream {
 public:
  /// Sends the head.
  explicit event_stream(response_writer& w);

  /// Data of several lines is sent as such. Errors: those of write(), so the client has gone;
  /// std::errc::invalid_argument for a line end in name or id.
  void send(const event& e, std::error_code& error);
  void send(const event& e);
  /// A line that clients ignore, to keep proxies from closing an idle connection.
  void comment(std::string_view text, std::error_code& error);

 private:
  response_writer& w_;
};

}  // namespace gort::http
