// Marsaglia's xorshift: random enough to spread and to sample, at a nanosecond each.
#pragma once

#include <cstdint>

namespace gort::base {

/// The next state, which is the number. Never 0 if `x` was not, else always.
constexpr std::uint32_t xorshift(std::uint32_t x) noexcept {
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  return x;
}
constexpr std::uint64_t xorshift(std::uint64_t x) noexcept {
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return x;
}

}  // namespace gort::base
