// What a connection needs while it works on a request, and gives back while it waits for the next.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gort/context.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/http/message.hpp>
#include <gort/wait_group.hpp>

#include "http/chunked_body.hpp"
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

/// What a request and the goroutine that watches its client share (client_watch.cpp).
struct client_watch {
  gort::detail::atomic<bool> is_claimed{
      false};  // by whichever comes first: its start, its revocation
  wait_group ended;
};

struct exchange {
  static constexpr std::size_t keep_out_max = 64 * 1024;
  static constexpr std::size_t keep_slices_max = 64;

  input_buffer in;
  std::string out;   // of the response on its way
  std::string body;  // of a response that may still turn out to be short
  http::request request;
  headers response_headers;
  std::vector<field_slices> slices;
  std::optional<request_parser> parser;
  std::optional<chunk_decoder> decoder;  // of the current request's body, if that is chunked

  // Of the request's context, once it has been asked for.
  std::optional<cancel_function> cancel_context;
  std::shared_ptr<client_watch> watch;  // null: nobody reads ahead, to see the client go [watch-1]

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
    // By swap: assigning an empty one may keep the memory.
    if (out.capacity() > keep_out_max) std::string().swap(out);
    if (slices.capacity() > keep_slices_max) std::vector<field_slices>().swap(slices);
    parser.reset();
  }
};

}  // namespace gort::http
