#include "http/chunked_body.hpp"

#include <algorithm>
#include <cstring>

#include "http/text.hpp"

namespace gort::http {

std::size_t chunk_decoder::put(std::string_view& from, std::span<std::byte> into) noexcept {
  std::size_t done = 0;
  while (!from.empty() && state_ < state::done) {
    if (state_ != state::data) {
      state_ = next(from.front());
      from.remove_prefix(1);
      if (++overhead_ > overhead_max) state_ = state::broken;
      continue;
    }
    const std::size_t room = std::min(from.size(), into.size() - done);
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, room));
    if (n == 0) break;
    std::memcpy(into.data() + done, from.data(), n);
    from.remove_prefix(n);
    done += n;
    left_ -= n;
    if (left_ == 0) state_ = state::data_cr;
  }
  return done;
}

chunk_decoder::state chunk_decoder::next_of_size(char c) noexcept {
  const int digit = hex_digit(c);
  if (digit < 0 || left_ >> 60 != 0) return state::broken;
  left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
  return state::size;
}

/// The line of a chunk's size is complete.
chunk_decoder::state chunk_decoder::begin_data() noexcept {
  const std::uint64_t allowed = 16 + 2 * std::min(left_, overhead_max);
  overhead_ -= std::min(overhead_, allowed);
  return left_ == 0 ? state::trailer_first : state::data;
}

chunk_decoder::state chunk_decoder::next(char c) noexcept {
  const bool is_blank = c == ' ' || c == '\t';
  const auto only = [c](char expected, state then) { return c == expected ? then : state::broken; };
  switch (state_) {
    case state::size_first: return next_of_size(c);
    case state::size:
      if (c == '\r') return state::size_lf;
      if (c == ';') return state::extension;
      return is_blank ? state::size_blank : next_of_size(c);
    case state::size_blank:
      if (c == '\r' && is_lenient_) return state::size_lf;
      return is_blank ? state::size_blank : only(';', state::extension);
    case state::extension:
      if (c == '\r') return state::size_lf;
      return is_text_char(c) ? state::extension : state::broken;  // [chunk-1]
    case state::size_lf: return c == '\n' ? begin_data() : state::broken;
    case state::data_cr: return only('\r', state::data_lf);
    case state::data_lf: return only('\n', state::size_first);
    case state::trailer_first:
      if (c == '\r') return state::end_lf;
      if (is_blank && is_lenient_) return state::trailer_value;
      return is_token_char(c) ? state::trailer_name : state::broken;
    case state::trailer_name:
      return is_token_char(c) ? state::trailer_name : only(':', state::trailer_value);
    case state::trailer_value:
      if (c == '\r') return state::trailer_lf;
      return is_text_char(c) ? state::trailer_value : state::broken;
    case state::trailer_lf: return only('\n', state::trailer_first);
    case state::end_lf: return only('\n', state::done);
    case state::data:
    case state::done:
    case state::broken: break;
  }
  return state::broken;
}

}  // namespace gort::http
