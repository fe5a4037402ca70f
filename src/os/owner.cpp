// Whose memory an address is in. Variables are where the dynamic linker has put an object. glibc's
// malloc has three kinds of memory, told by what it writes there:
//
//   the main arena    what sbrk(2) has given
//   other arenas      64 MiB of addresses, aligned to as many; at their beginning a pointer to the
//                     arena, which lies behind the first such record, the record before, and sizes
//   large blocks      mappings of their own: no size of a block before, and the size with the
//   second
//                     bit set
#include <unistd.h>
#include <algorithm>

#include "os/loaded.hpp"
#include "os/memory.hpp"
#include "os/own_memory.hpp"

namespace gort::os {

bool own_memory::is_in_arena(std::uintptr_t address, const memory_range& mapping) const noexcept {
  constexpr std::uintptr_t heap_bytes = std::uintptr_t{64} << 20;
  const std::uintptr_t base = address & ~(heap_bytes - 1);
  if (base < mapping.low) return false;
  std::uintptr_t record[3];  // the arena, the record before, bytes in use
  if (read_words(base, record, 3) != 3) return false;
  return record[0] != 0 && (record[0] & (heap_bytes - 1)) < page_bytes &&
         (record[1] & (heap_bytes - 1)) == 0 && record[2] % page_bytes == 0 &&
         record[2] <= heap_bytes && address - base < record[2];
}

bool own_memory::is_in_large_block(std::uintptr_t address,
                                   const memory_range& mapping) const noexcept {
  constexpr std::uintptr_t is_mapped = 2, flags = 7, looked_at_max = std::uintptr_t{256} << 20;
  const std::uintptr_t from = address / page_bytes * page_bytes;
  std::uintptr_t low =
      std::max(mapping.low, address - std::min(address, looked_at_max) + page_bytes);
  // Nothing begins between these, as has been seen before.
  if (none_begins_.low <= from && from < none_begins_.high) return false;
  const bool goes_on = none_begins_.low <= low && low < none_begins_.high;
  if (goes_on) low = none_begins_.high;
  for (std::uintptr_t page = from; page >= low; page -= page_bytes) {
    std::uintptr_t header[2];
    if (read_words(page, header, 2) != 2) break;
    const std::uintptr_t bytes = header[1] & ~flags;
    if (header[0] != 0 || (header[1] & flags) != is_mapped || bytes % page_bytes != 0 || bytes == 0)
      continue;
    return bytes <= mapping.high - page && address - page < bytes;
  }
  none_begins_ = {goes_on ? none_begins_.low : low, from + page_bytes};
  return false;
}

memory_owner own_memory::owner_of(std::uintptr_t address) const noexcept {
  loaded_object found;
  if (find_loaded(address, found)) return memory_owner::variable;
  const memory_range* const begin = ranges_;
  const memory_range* const end = begin + count_;
  const memory_range* mapping =
      std::upper_bound(begin, end, address,
                       [](std::uintptr_t a, const memory_range& each) { return a < each.high; });
  if (mapping == end || address < mapping->low) return memory_owner::unknown;
  const auto break_end = reinterpret_cast<std::uintptr_t>(sbrk(0));
  const bool in_main_arena = mapping->low < break_end && break_end <= mapping->high;
  return in_main_arena || is_in_arena(address, *mapping) || is_in_large_block(address, *mapping)
             ? memory_owner::malloc
             : memory_owner::unknown;
}

}  // namespace gort::os
