// Problem: undo the chunked coding of a body, for requests and responses, as its bytes come.
//
// Invariants
//   [chunk-1] Every line ends with CR LF; a CR or LF anywhere else in it is refused, inside the
//             quotes of an extension too: another reader may end the line there.
//   [chunk-2] Extensions and trailers are passed over. The bytes that are not data may not outweigh
//             the data by far: an allowance per chunk, enough for honest ones of a byte each.
//   [chunk-3] The end is noticed with the last byte, so that the message behind it is not touched.
// The decoder keeps nothing but numbers, so a line may be cut anywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <system_error>

#include <gort/http/errors.hpp>

#include "http/input_buffer.hpp"

namespace gort::http {

class chunk_decoder {
 public:
  /// Responses: blanks behind a chunk's size and folded trailers are taken, as servers send them.
  enum class manner : std::uint8_t { strict, lenient };

  explicit chunk_decoder(manner how = manner::strict) noexcept
      : is_lenient_(how == manner::lenient) {}

  /// Takes from `from` what it has read, and returns how much of `into` is now data. Stops where
  /// there is no more of one or the other, at the end, and at an error.
  std::size_t put(std::string_view& from, std::span<std::byte> into) noexcept;

  bool is_done() const noexcept { return state_ == state::done; }
  bool is_broken() const noexcept { return state_ == state::broken; }

 private:
  enum class state : std::uint8_t {
    size_first,
    size,
    size_blank,
    extension,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer_first,
    trailer_name,
    trailer_value,
    trailer_lf,
    end_lf,
    done,
    broken,
  };
  static constexpr std::uint64_t overhead_max = 16 * 1024;

  state next(char c) noexcept;
  state next_of_size(char c) noexcept;
  state begin_data() noexcept;

  const bool is_lenient_;
  state state_ = state::size_first;
  std::uint64_t left_ = 0;      // of the chunk
  std::uint64_t overhead_ = 0;  // [chunk-2]
};

/// At least one byte; 0 with is_done(): the end; 0 with an error. `refill(error)` reads more into
/// the buffer and returns how much.
template <class Refill>
std::size_t read_chunked(input_buffer& in, chunk_decoder& decoder, std::span<std::byte> into,
                         std::error_code& error, Refill refill) {
  for (;;) {
    std::string_view from(in.data(), in.size());
    const std::size_t before = from.size();
    const std::size_t n = decoder.put(from, into);
    in.consume(before - from.size());
    if (n != 0 || decoder.is_done()) return n;
    if (decoder.is_broken()) {
      error = errc::malformed;
      return 0;
    }
    // What was there is used up, so there is room.
    if (!in.make_room(0) || refill(error) == 0) {
      if (!error) error = errc::unexpected_eof;
      return 0;
    }
  }
}

}  // namespace gort::http
