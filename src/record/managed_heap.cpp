#include "record/managed_heap.hpp"

#include "base/env.hpp"

namespace gort::record {

namespace {

constinit detail::atomic<const managed_heap*> offered;

// Go's, before the first collection.
void read_environment(managed_facts& to) noexcept {
  constexpr std::uint64_t off = ~std::uint64_t{0};
  constexpr std::uint64_t goal_at_100_percent = 4 << 20;
  static const int percent = base::env_gc_percent();
  static const std::uint64_t limit = base::env_memory_limit();
  to.gc_percent = percent < 0 ? off : static_cast<std::uint64_t>(percent);
  to.goal_bytes = percent < 0 ? off : goal_at_100_percent * to.gc_percent / 100;
  to.limit_bytes = limit;
}

}  // namespace

const managed_heap* the_managed_heap() noexcept {
  return offered.load_acquire();  // pairs with the release below
}

void offer_managed_heap(const managed_heap& its) noexcept {
  offered.store_release(&its);  // pairs with the acquire above: what it needs has been made
}

managed_facts read_managed_heap() noexcept {
  managed_facts out;
  read_environment(out);
  if (const managed_heap* there = the_managed_heap(); there != nullptr) there->read(out);
  return out;
}

}  // namespace gort::record
