// Caches of slots, and the lists behind them: what allocate.cpp and sweep.cpp share. The invariants
// are those of allocate.cpp.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include <gort/detail/atomic.hpp>
#include <gort/detail/spin_lock.hpp>

#include "gc/heap.hpp"
#include "gc/sampling.hpp"
#include "sched/gmp/proc.hpp"

namespace gort::managed {

struct alignas(64) bin {
  detail::atomic<std::uint64_t> free;  // slots of the present word
  std::uintptr_t base = 0;             // the first slot of it
  std::uint32_t slot_bytes = 0;
  std::uint8_t word = 0;   // the next
  std::uint8_t words = 0;  // 0: there is no span
  bool zero_each = false;  // each slot when it is taken, not all of a word when that comes up
  span* from = nullptr;
  std::uint64_t later = 0;                // as `free` [sample-1]
  std::uint64_t taken_over = 0;           // slots, ever
  detail::atomic<std::uint64_t> version;  // [alloc-4]; 0: nobody has ever used it
  alignas(64) std::uint64_t masks[bitmap_words] = {};
};

struct cache {
  detail::atomic<std::uint32_t> busy;  // [alloc-1]; written by its P's holder
  // Of each kind, bins that have ever been used: before that. So who looks at them need not fetch
  // those that have not.
  detail::atomic<std::uint64_t> used[kind_count];
  page_user pages;  // nobody, for the shared one
  sampler samples;
  bin bins[kind_count][class_count];

  bin& at(unsigned index) noexcept { return (&bins[0][0])[index]; }  // shape::bin()
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
  detail::atomic<std::size_t> cache_count;  // of Ps; so many of
  // Above the index of each of these: raised before it is there. So there are not 4096 to look at.
  detail::atomic<std::size_t> caches_end;
  detail::atomic<cache*> caches[sched::procs_max];  // made by their Ps' holders

  /// Calls f(cache) for each of these that there is at some instant since the call.
  template <class F>
  void for_each_of_ps(F f) const noexcept {
    // Acquires pair with the releases in cache_of().
    const std::size_t end = caches_end.load_acquire();
    for (std::size_t i = 0; i < end; ++i) {
      const cache* of = caches[i].load_acquire();
      if (of != nullptr) f(*of);
    }
  }
};
/// Null until somebody has allocated.
stores* the_stores() noexcept;
/// What they and the caches are, in bytes.
std::size_t cache_bytes() noexcept;

/// What an allocation has to see to when it is done.
struct taken {
  std::uintptr_t slot = 0;     // 0: there is no memory
  std::size_t handed_out = 0;  // bytes that its cache got for it, if that had none left
  bool sampled = false;
};
/// More slots for a bin that has none. False: there is no memory. `sampled`: the next slot is.
/// Inside gort.
bool refill(stores& all, cache& mine, bin& to, kind of, unsigned size_class, taken& out) noexcept;
/// [alloc-2]; of a cached span. `masks`: the slots that were free. False: it is not new, and a
/// marking has ended that it was not swept after [central-1].
bool begin_life(span& taken, const std::uint64_t* masks, bool is_new) noexcept;

/// A bin at some instant since the call, whoever uses it [alloc-4]. Any thread.
struct bin_seen {
  span* from = nullptr;    // null: there is none
  std::uint64_t free = 0;  // with `later`
  std::uint32_t word = 0;  // the next; not 0
  std::uint64_t taken_over = 0;
  std::uint64_t masks[bitmap_words];
};
bin_seen look_at(const bin& of) noexcept;  // src/gc/sweep.cpp

/// Calls f(cache) for all that there are; the shared one under its lock.
template <class F>
void for_each_cache(stores& all, F f) noexcept {
  all.for_each_of_ps(f);
  detail::spin_guard guard(all.shared_lock);
  f(all.shared);
}

/// Calls f(bin, size_class) for those bins that have been used.
template <class F>
void for_each_used_bin(const cache& of, F f) noexcept {
  static_assert(class_count <= 64);
  for (unsigned k = 0; k < kind_count; ++k) {
    // Acquire pairs with the release in refill().
    for (std::uint64_t used = of.used[k].load_acquire(); used != 0; used &= used - 1) {
      const auto size_class = static_cast<unsigned>(std::countr_zero(used));
      f(of.bins[k][size_class], size_class);
    }
  }
}

inline central& class_of(stores& all, const span& s) noexcept {
  const auto k = static_cast<unsigned>(s.kind);
  return s.size_class == large_class ? all.large[k] : all.classes[k][s.size_class];
}

}  // namespace gort::managed
