// What a connection needs while it works on a request, and gives back while it waits for the next.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <gort/http/message.hpp>

#include "http/input_buffer.hpp"
#include "http/message_parser.hpp"

namespace gort::http {

/// The library's way into a request.
struct request_access {
  request& r;

  void reset() noexcept;
  /// For a request that has been reset.
  void attach(detail::request_source& source) noexcept { r.source_ = &source; }
  /// From the parsed head. Returns a status: 0, or why the request is refused.
  int fill(const request_parser& parser, const char* head);
  /// Nothing may be read after the handler.
  void detach() noexcept { r.source_ = nullptr; }
  bool has_context() const noexcept { return r.context_.has_value(); }
};

struct exchange {
  static constexpr std::size_t keep_out_max = 64 * 1024;

  input_buffer in;
  std::string out;   // responses on their way, so that pipelined ones share a write
  std::string body;  // of a response that may still turn out to be short
  http::request request;
  headers response_headers;
  std::vector<field_slices> slices;
  std::optional<request_parser> parser;

  std::int64_t date_second = -1;
  char date[29];

  /// Between two requests, the second of which has come already.
  void next_request() noexcept {
    request_access{request}.reset();
    response_headers.clear();
    body.clear();
    in.unpin();
  }

  /// Before it goes back to the pool.
  void reset() noexcept {
    next_request();
    in.reset();
    out.clear();
    if (out.capacity() > keep_out_max) out = std::string();
    parser.reset();
  }
};

}  // namespace gort::http
