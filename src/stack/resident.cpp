#include "stack/resident.hpp"

#include <algorithm>

#include "os/resident.hpp"
#include "stack/slots.hpp"

namespace gort::stack {

namespace {

// A stack is touched from its top down (its frames probe every page), so the first block without a
// page ends it.
std::size_t touched_of(const os::page_map& pages, unsigned size_class, void* slot) noexcept {
  constexpr std::size_t block_bytes = 16 * os::page_bytes;
  char* const low = static_cast<char*>(slot) + guard_bytes(size_class);
  char* high = static_cast<char*>(slot) + class_bytes(size_class);
  std::size_t total = 0;
  while (high > low) {
    char* from = std::max(low, high - static_cast<std::ptrdiff_t>(block_bytes));
    const std::size_t bytes = pages.scan(from, high).bytes;
    total += bytes;
    if (bytes == 0) break;
    high = from;
  }
  return total;
}

}  // namespace

std::size_t touched_bytes(std::size_t looks_max) noexcept {
  const os::page_map pages;
  std::size_t total = 0;
  for (unsigned size_class = 0; size_class < size_class_count; ++size_class) {
    const std::size_t slots = handed_out(size_class);
    const std::size_t stride = slots == 0 ? 1 : (slots - 1) / looks_max + 1;
    std::size_t looked_at = 0, bytes = 0;
    for (std::size_t i = 0; i < slots; i += stride, ++looked_at)
      bytes += touched_of(pages, size_class, slot_of(size_class, i));
    if (looked_at != 0)
      total += static_cast<std::size_t>(static_cast<double>(bytes) * static_cast<double>(slots) /
                                        static_cast<double>(looked_at));
  }
  return total;
}

}  // namespace gort::stack
