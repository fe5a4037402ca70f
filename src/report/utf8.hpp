// Text that others read as UTF-8. Labels, names and paths may be anything, and readers of protobuf
// and JSON refuse all of a file for one byte that is none.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace gort::report {

/// How many bytes of `text`, which is not empty, are one character from its beginning on; 0: none.
constexpr std::size_t character_bytes(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  const std::size_t size = lead < 0x80 ? 1
                           : lead < 0xc2
                               ? 0  // in the midst of one, or two bytes for what needs one
                           : lead < 0xe0 ? 2
                           : lead < 0xf0 ? 3
                           : lead < 0xf5 ? 4
                                         : 0;
  if (size > text.size()) return 0;
  for (std::size_t i = 1; i < size; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  if (size < 3) return size;
  // Longer than needed, halves of UTF-16's pairs, beyond the last one.
  const unsigned second = byte(1);
  if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
      (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f))
    return 0;
  return size;
}

/// The text, with U+FFFD in place of each byte that is no UTF-8.
inline std::string as_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t size = character_bytes(text);
    out += size == 0 ? "\xef\xbf\xbd" : text.substr(0, size);
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  return out;
}

}  // namespace gort::report
