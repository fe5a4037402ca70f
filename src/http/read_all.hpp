// Reading a body whole, at a cost in proportion to its size, whatever the pieces it comes in.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>

namespace gort::http {

/// `read(span)` gives at least one byte, 0 at the end. `expected` bytes are made room for at once.
/// Each byte of the result is written as a 0 first, once (std::string cannot do without); room that
/// was made and not used yet is kept for the next piece.
template <class Read>
std::string read_all(std::size_t expected, Read read) {
  constexpr std::size_t probe_size = 4096;
  std::string out(expected, '\0');
  std::size_t used = 0;
  for (;;) {
    if (used < out.size()) {
      const std::size_t n = read(std::as_writable_bytes(std::span(out).subspan(used)));
      if (n == 0) break;
      used += n;
      continue;
    }
    // Often this is the end, and nothing more needs to be allocated.
    std::byte probe[probe_size];
    const std::size_t n = read(std::span(probe));
    if (n == 0) break;
    out.resize(std::max(2 * out.size(), used + n));
    std::memcpy(out.data() + used, probe, n);
    used += n;
  }
  out.resize(used);
  return out;
}

}  // namespace gort::http
