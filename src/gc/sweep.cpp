// What the collector does with slots: holding those that are free in caches, finding objects whose
// destructor is due, and freeing. The invariants are those of allocate.cpp and heap.hpp.
//
// A span's bitmap of marks becomes its bitmap of live slots: some words for each span, so the whole
// heap is swept at once, right after the marking, beside the program. Memory is zeroed by who takes
// it.
//
// Rejected: sweeping when slots are needed (Go): it spreads what is milliseconds for a gigabyte.
#include <bit>

#include "gc/caches.hpp"
#include "gc/collector.hpp"
#include "gc/patience.hpp"
#include "gc/poison.hpp"
#include "gc/statistics.hpp"

namespace gort::managed {

void forget_free_spans() noexcept {
  stores* all = the_stores();
  if (all == nullptr) return;
  for (auto& of_kind : all->classes) {
    for (central& each : of_kind) {
      detail::spin_guard guard(each.lock);
      each.list = nullptr;
    }
  }
}

namespace {

// Its owner may be using it [alloc-4].
GORT_UNSANITIZED [[gnu::noinline]] void copy_bin(const bin& of, bin_seen& to) noexcept {
  to.from = __atomic_load_n(&of.from, __ATOMIC_RELAXED);
  // Acquire pairs with the releases where a slot is taken.
  to.free = of.free.load_acquire() | __atomic_load_n(&of.later, __ATOMIC_RELAXED);
  to.word = __atomic_load_n(&of.word, __ATOMIC_RELAXED);
  to.taken_over = __atomic_load_n(&of.taken_over, __ATOMIC_RELAXED);
  for (std::size_t i = 0; i < bitmap_words; ++i)
    to.masks[i] = __atomic_load_n(&of.masks[i], __ATOMIC_ACQUIRE);
}

}  // namespace

bin_seen look_at(const bin& of) noexcept {
  bin_seen seen;
  for (patience others;;) {
    // Acquires pair with the releases in refill().
    const std::uint64_t version = of.version.load_acquire();
    if (version % 2 == 0) {
      copy_bin(of, seen);
      if (of.version.load_acquire() == version) break;
    }
    others.wait();
  }
  if (seen.word == 0) seen.from = nullptr;
  return seen;
}

namespace {

void hold_free_of(const bin& of) noexcept {
  const bin_seen seen = look_at(of);
  if (seen.from == nullptr) return;
  seen.from->held[seen.word - 1].store_relaxed(seen.free);
  for (std::size_t i = seen.word; i < bitmap_words; ++i)
    seen.from->held[i].store_relaxed(seen.masks[i]);
}

}  // namespace

void hold_cached_slots() noexcept {
  stores* all = the_stores();
  if (all == nullptr) return;
  const auto hold = [](const cache& of) {
    for (const auto& of_kind : of.bins) {
      for (const bin& each : of_kind) hold_free_of(each);
    }
  };
  for (const detail::atomic<cache*>& each : all->caches) {
    const cache* of = each.load_acquire();  // pairs with the release in cache_of()
    if (of == nullptr) continue;
    hold(*of);
    for (patience others; of->busy.load_acquire() != 0;)
      others.wait();  // pairs with the release there
  }
  detail::spin_guard guard(all->shared_lock);
  hold(all->shared);
}

namespace {

void count_freed(const span& of, std::size_t objects) noexcept {
  if (objects == 0) return;
  if (of.size_class == large_class) {
    statistics::add(counted.freed_large, 1);
    statistics::add(counted.freed_large_bytes, of.slot_bytes);
  } else {
    statistics::add(counted.freed[of.size_class], objects);
  }
}

}  // namespace

swept sweep_span(span& each, std::uint32_t cycle) noexcept {
  swept out;
  stores* all = the_stores();
  central& of = class_of(*all, each);
  detail::spin_guard guard(of.lock);
  if (!each.is_settled(cycle)) return out;  // what was handed out since is counted there
  each.sweep_cycle.store_relaxed(cycle);
  std::uint32_t left = 0;
  for (std::size_t i = 0; i < bitmap_words; ++i) {
    const std::uint64_t live = each.bits[i].live.load_relaxed();
    const std::uint64_t keep = live & each.kept(i);
    left += static_cast<std::uint32_t>(std::popcount(keep));
    out.freed += static_cast<std::size_t>(std::popcount(live ^ keep));
    if (each.sampled.load_relaxed() != 0)
      forget_sampled(each, static_cast<std::uint32_t>(i), live ^ keep);
    each.bits[i].live.store_release(keep);  // pairs with the acquire in holds()
    if constexpr (freed_slots_are_told) {
      for (std::uint64_t dead = live ^ keep; dead != 0; dead &= dead - 1) {
        const auto slot =
            static_cast<std::uint32_t>(i * 64) + static_cast<std::uint32_t>(std::countr_zero(dead));
        tell_of_slot_freed(each.address_of(slot), each.slot_bytes);
      }
    }
  }
  out.live_bytes = left * each.slot_bytes;
  count_freed(each, out.freed);
  if (each.cached.load_relaxed() != 0) return out;
  if (left == 0) {
    guard.release();
    statistics::add(counted.spans_freed, 1);
    free_span(each);
  } else if (left < each.slots) {
    each.fresh = false;
    each.next = of.list;
    of.list = &each;
  }
  return out;
}

void for_each_dead(span& of, std::uint32_t cycle, void (*f)(std::uintptr_t, void*),
                   void* argument) noexcept {
  std::uint64_t dead[bitmap_words];
  {
    detail::spin_guard guard(class_of(*the_stores(), of).lock);
    if (!of.is_settled(cycle)) return;
    for (std::size_t i = 0; i < bitmap_words; ++i)
      dead[i] = of.bits[i].live.load_relaxed() & ~of.kept(i);
  }
  for (std::size_t i = 0; i < bitmap_words; ++i) {
    for (; dead[i] != 0; dead[i] &= dead[i] - 1) {
      const auto slot = static_cast<std::uint32_t>(i * 64) +
                        static_cast<std::uint32_t>(std::countr_zero(dead[i]));
      f(of.address_of(slot), argument);
    }
  }
}

}  // namespace gort::managed
