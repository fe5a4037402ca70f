// Caches of slots, and the lists behind them: what allocate.cpp and sweep.cpp share. The invariants
// are those of allocate.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include <gort/detail/atomic.hpp>
#include <gort/detail/spin_lock.hpp>

#include "gc/heap.hpp"
#include "sched/gmp/proc.hpp"

namespace gort::managed {

struct bin {
  detail::atomic<std::uint64_t> free;  // slots of the present word
  std::uintptr_t base = 0;             // the first slot of it
  std::size_t slot_bytes = 0;
  std::uint32_t word = 0;   // the next
  std::uint32_t words = 0;  // 0: there is no span
  span* from = nullptr;
  detail::atomic<std::uint64_t> version;  // [alloc-4]
  std::uint64_t masks[bitmap_words] = {};
};

struct cache {
  detail::atomic<std::uint32_t> busy;  // [alloc-1]; written by its P's holder
  bin bins[kind_count][class_count];
};

struct alignas(64) central {
  detail::spin_lock lock;
  span* list = nullptr;
};

// In memory of their own, so that a program which never allocates has none of it.
struct stores {
  central classes[kind_count][class_count];
  central large[kind_count];
  detail::spin_lock shared_lock;
  cache shared;
  detail::atomic<cache*> caches[sched::procs_max];  // made by their Ps' holders
};
/// Null until somebody has allocated.
stores* the_stores() noexcept;

inline central& class_of(stores& all, const span& s) noexcept {
  const auto k = static_cast<unsigned>(s.kind);
  return s.size_class == large_class ? all.large[k] : all.classes[k][s.size_class];
}

}  // namespace gort::managed
