#include "gc/limits.hpp"

#include "base/env.hpp"
#include "gc/heap.hpp"

namespace gort::managed {

std::uint64_t memory_limit_for_statistics() noexcept {
  static const std::uint64_t limit = base::env_memory_limit();
  return limit;
}

std::uint64_t last_limited_cycle_for_statistics() noexcept { return 0; }

std::uint64_t released_bytes_for_statistics() noexcept {
  const page_counts pages = count_pages();
  return pages.touched - pages.in_use - pages.free;
}

}  // namespace gort::managed
