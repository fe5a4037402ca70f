#include "stack/usage.hpp"

#include <algorithm>
#include <cstring>

#include <gort/detail/spin_lock.hpp>

#include "base/sanitizer.hpp"
#include "os/memory.hpp"
#include "os/resident.hpp"
#include "stack/slots.hpp"

namespace gort::stack {

namespace {

constexpr std::size_t sites_max = 1024;

// Open addressing by creation pc and class; guarded by `lock` [usage-2].
detail::spin_lock lock;
site sites[sites_max];
std::size_t site_count = 0;

// The number of the site, from 1; 0: the table is full.
unsigned find_site_locked(const void* creation_pc, unsigned size_class) noexcept {
  const auto hash = (reinterpret_cast<std::uintptr_t>(creation_pc) + size_class) *
                    std::uintptr_t{0x9e3779b97f4a7c15u};
  for (std::size_t step = 0; step < sites_max; ++step) {
    const std::size_t i = ((hash >> 32) + step) % sites_max;
    site& each = sites[i];
    if (each.goroutines == 0) {
      each.creation_pc = creation_pc;
      each.size_class = size_class;
      ++site_count;
    } else if (each.creation_pc != creation_pc || each.size_class != size_class) {
      continue;
    }
    return static_cast<unsigned>(i + 1);
  }
  return 0;
}

// Frames leave red zones, and who owns them may be living: not for sanitizers to judge.
GORT_UNSANITIZED const char* first_word_not_zero(const char* low, const char* high) noexcept {
  for (; low < high; low += sizeof(std::uintptr_t)) {
    if (*reinterpret_cast<const std::uintptr_t*>(low) != 0) return low;
  }
  return nullptr;
}

}  // namespace

unsigned begin_measuring(void* slot, unsigned size_class, char* top, const void* creation_pc,
                         const char* name) noexcept {
  char* low = static_cast<char*>(slot) + guard_bytes(size_class);
  char* last_page = os::page_of(top);
  if (low < last_page && !os::give_back(low, static_cast<std::size_t>(last_page - low))) return 0;
  std::memset(last_page, 0, static_cast<std::size_t>(top - last_page));
  detail::spin_guard guard(lock);
  const unsigned number = find_site_locked(creation_pc, size_class);
  if (number == 0) return 0;
  site& here = sites[number - 1];
  ++here.goroutines;
  if (name != nullptr) std::strncpy(here.name, name, site::name_bytes - 1);
  return number;
}

void measure(unsigned site_number, void* slot, unsigned size_class, char* top) noexcept {
  char* low = static_cast<char*>(slot) + guard_bytes(size_class);
  const os::page_map pages;
  char* lowest = pages.scan(low, os::page_of(top) + os::page_bytes).lowest;
  if (lowest == nullptr) return;
  const char* deepest = first_word_not_zero(lowest, std::min(lowest + os::page_bytes, top));
  if (deepest == nullptr) deepest = lowest;
  const auto bytes = static_cast<std::size_t>(top - deepest);
  detail::spin_guard guard(lock);
  site& here = sites[site_number - 1];
  here.bytes_max = std::max(here.bytes_max, bytes);
}

std::size_t copy_sites(site* to, std::size_t room) noexcept {
  detail::spin_guard guard(lock);
  std::size_t copied = 0;
  for (const site& each : sites) {
    if (each.goroutines != 0 && copied < room) to[copied++] = each;
  }
  return site_count;
}

}  // namespace gort::stack
