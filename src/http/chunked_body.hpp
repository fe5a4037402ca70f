// Decoding a chunked body, for requests and responses.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <system_error>

#include <gort/http/errors.hpp>

#include "http/input_buffer.hpp"
#include "http/message_parser.hpp"

namespace gort::http {

/// At least one byte; 0 with parser.is_done(): the end; 0 with an error. `refill(error)` reads more
/// into the buffer and returns how much.
template <class Parser, class Refill>
std::size_t read_chunked(input_buffer& in, Parser& parser, std::span<std::byte> into,
                         std::error_code& error, Refill refill) {
  for (;;) {
    if (in.size() != 0) {
      std::string_view from(in.data(), in.size());
      const std::size_t before = from.size();
      beast::error_code parse_error;
      const std::size_t n = parser.put_body(from, into, parse_error);
      in.consume(before - from.size());
      if (parser.is_done()) return n;
      if (parse_error && parse_error != beast_error::need_more) {
        error = errc::malformed;
        return 0;
      }
      if (n != 0) return n;
      if (!parse_error) continue;
    }
    // A line of a chunk's header, or the trailers, that do not fit are no honest ones.
    if (!in.make_room(0)) {
      error = errc::malformed;
      return 0;
    }
    if (refill(error) == 0) {
      if (!error) error = errc::unexpected_eof;
      return 0;
    }
  }
}

}  // namespace gort::http
