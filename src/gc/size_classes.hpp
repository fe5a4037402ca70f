// In which sizes small objects come, and how many pages a span of each size takes.
//
// A span is a run of 8 KiB pages that holds slots of one size. Classes: each 16 bytes up to 128,
// then four for each doubling, up to 32 KiB: at most a fifth of a slot is wasted. A span has at
// most 512 slots, so its bitmaps have 8 words, and at most an eighth of it is left over at its end.
// Who takes one over takes locks that all share; so it has 256 slots, or is of 32 KiB, or of 4
// slots that are larger.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include <gort/detail/managed_make.hpp>

namespace gort::managed {

constexpr std::size_t page_bytes = 8 << 10;
constexpr std::size_t slots_max = 512;
constexpr unsigned large_class = class_count;  // one object, whole pages

constexpr std::size_t slot_bytes_of(unsigned size_class) noexcept {
  if (size_class < 8) return 16 * (size_class + std::size_t{1});
  const unsigned doubling = (size_class - 8) / 4;
  const std::size_t from = std::size_t{128} << doubling;
  return from + from / 4 * ((size_class - 8) % 4 + 1);
}
static_assert(slot_bytes_of(class_count - 1) == small_bytes_max);

constexpr std::size_t pages_of(unsigned size_class) noexcept {
  const std::size_t slot = slot_bytes_of(size_class);
  for (std::size_t pages = 1;; ++pages) {
    const std::size_t slots = pages * page_bytes / slot;
    if (slots < 4 || (slots < 256 && pages * page_bytes < (32 << 10))) continue;
    if ((pages * page_bytes - slots * slot) * 8 <= pages * page_bytes) return pages;
  }
}

constexpr std::array<std::uint8_t, class_count> span_pages = [] {
  std::array<std::uint8_t, class_count> out{};
  for (unsigned i = 0; i < class_count; ++i) out[i] = static_cast<std::uint8_t>(pages_of(i));
  return out;
}();

constexpr std::uint32_t slots_of(unsigned size_class) noexcept {
  return static_cast<std::uint32_t>(span_pages[size_class] * page_bytes /
                                    slot_bytes_of(size_class));
}
static_assert(slots_of(0) == slots_max);

constexpr std::array<std::uint32_t, class_count + 1> slot_sizes = [] {  // 0 for large_class
  std::array<std::uint32_t, class_count + 1> out{};
  for (unsigned i = 0; i < class_count; ++i) out[i] = static_cast<std::uint32_t>(slot_bytes_of(i));
  return out;
}();

// ceil(2^32 / size), and 0 for large_class, whose spans have one slot.
constexpr std::array<std::uint32_t, class_count + 1> reciprocals = [] {
  std::array<std::uint32_t, class_count + 1> out{};
  for (unsigned i = 0; i < class_count; ++i) {
    const std::uint64_t size = slot_bytes_of(i);
    out[i] = static_cast<std::uint32_t>(((std::uint64_t{1} << 32) + size - 1) / size);
  }
  return out;
}();

/// In which slot of a span of this class the byte `inside` it is; of what is left over at its end,
/// one that is not there.
constexpr std::uint32_t slot_in(unsigned size_class, std::size_t inside) noexcept {
  return static_cast<std::uint32_t>((inside * reciprocals[size_class]) >> 32);
}
static_assert([] {  // exact; and what is left over is in the bitmaps, too
  for (unsigned i = 0; i < class_count; ++i) {
    const std::size_t last = span_pages[i] * page_bytes - 1;
    const std::uint64_t excess = reciprocals[i] * slot_bytes_of(i) - (std::uint64_t{1} << 32);
    if (last * excess >= std::uint64_t{1} << 32 || slot_in(i, last) >= slots_max) return false;
  }
  return true;
}());

}  // namespace gort::managed
