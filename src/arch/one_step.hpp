// What the processor does in one instruction, or two that it takes for one, and compilers in more.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gort::arch {

#if defined(__x86_64__)
constexpr bool takes_one_step = true;
#else
constexpr bool takes_one_step = false;  // they are left to the compiler
#endif

/// left -= by. True: no more was left than that; if less, it has gone around.
[[gnu::always_inline]] inline bool count_down(std::size_t& left, std::size_t by) noexcept {
#if defined(__x86_64__)
  bool ended;
  asm("subq %2, %1" : "=@ccbe"(ended), "+m"(left) : "r"(by));  // GCC 12: load, compare, store
  return ended;
#else
  const std::size_t before = left;
  left = before - by;
  return before <= by;
#endif
}

/// Of the bits that are set in `mask`, a word in memory.
[[gnu::always_inline]] inline bool has_none(std::uintptr_t word,
                                            const std::uintptr_t& mask) noexcept {
#if defined(__x86_64__)
  bool none;
  asm("testq %1, %2" : "=@ccz"(none) : "r"(word), "m"(mask));
  return none;
#else
  return (word & mask) == 0;
#endif
}

}  // namespace gort::arch
