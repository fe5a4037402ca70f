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
#include "gc/poison.hpp"
#include "os/thread.hpp"

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

struct bin_seen {
  std::uint64_t version;
  span* from;
  std::uint64_t free;
  std::uint32_t word;
  std::uint64_t masks[bitmap_words];
};

// Its owner may be using it [alloc-4].
GORT_UNSANITIZED [[gnu::noinline]] void look_at_bin(const bin& of, bin_seen& to) noexcept {
  to.from = __atomic_load_n(&of.from, __ATOMIC_RELAXED);
  to.free = of.free.load_acquire();  // pairs with the release in take_slot()
  to.word = __atomic_load_n(&of.word, __ATOMIC_RELAXED);
  for (std::size_t i = 0; i < bitmap_words; ++i)
    to.masks[i] = __atomic_load_n(&of.masks[i], __ATOMIC_ACQUIRE);
}

void hold_free_of(const bin& of) noexcept {
  bin_seen seen;
  for (;;) {
    // Acquires pair with the releases in refill().
    seen.version = of.version.load_acquire();
    if (seen.version % 2 == 0) {
      look_at_bin(of, seen);
      if (of.version.load_acquire() == seen.version) break;
    }
    os::yield_thread();
  }
  if (seen.from == nullptr || seen.word == 0) return;
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
    while (of->busy.load_acquire() != 0) os::yield_thread();  // pairs with the release there
  }
  detail::spin_guard guard(all->shared_lock);
  hold(all->shared);
}

swept sweep_span(span& each, std::uint32_t cycle) noexcept {
  swept out;
  stores* all = the_stores();
  central& of = class_of(*all, each);
  detail::spin_guard guard(of.lock);
  if (!each.is_settled(cycle)) return out;  // what was handed out since is counted there
  each.sweep_cycle.store_relaxed(cycle);
  std::uint32_t left = 0;
  for (std::size_t i = 0; i < bitmap_words; ++i) {
    const std::uint64_t live = each.live[i].load_relaxed();
    const std::uint64_t keep = live & (each.mark[i].load_relaxed() | each.held[i].load_relaxed());
    left += static_cast<std::uint32_t>(std::popcount(keep));
    out.freed += static_cast<std::size_t>(std::popcount(live ^ keep));
    each.live[i].store_release(keep);  // pairs with the acquire in holds()
    if constexpr (freed_slots_are_told) {
      for (std::uint64_t dead = live ^ keep; dead != 0; dead &= dead - 1) {
        const auto slot =
            static_cast<std::uint32_t>(i * 64) + static_cast<std::uint32_t>(std::countr_zero(dead));
        tell_of_slot_freed(each.address_of(slot), each.slot_bytes);
      }
    }
  }
  out.live_bytes = left * each.slot_bytes;
  if (each.cached.load_relaxed() != 0) return out;
  if (left == 0) {
    guard.release();
    free_span(each);
  } else if (left < each.slots) {
    each.fresh = false;
    each.next = of.list;
    of.list = &each;
  }
  return out;
}

void find_ending(span& each, std::uint32_t cycle, void (*f)(std::uintptr_t, void*),
                 void* argument) noexcept {
  stores* all = the_stores();
  std::uint64_t dead[bitmap_words] = {};
  {
    detail::spin_guard guard(class_of(*all, each).lock);
    if (!each.is_settled(cycle)) return;
    for (std::size_t i = 0; i < bitmap_words; ++i)
      dead[i] =
          each.live[i].load_relaxed() & ~each.mark[i].load_relaxed() & ~each.held[i].load_relaxed();
  }
  for (std::size_t i = 0; i < bitmap_words; ++i) {
    for (; dead[i] != 0; dead[i] &= dead[i] - 1) {
      const auto slot = static_cast<std::uint32_t>(i * 64) +
                        static_cast<std::uint32_t>(std::countr_zero(dead[i]));
      const std::uintptr_t at = each.address_of(slot);
      // Acquire pairs with the release in set_ending(): the objects are there.
      if (reinterpret_cast<object_header*>(at)->type.load_acquire() != nullptr) f(at, argument);
    }
  }
}

}  // namespace gort::managed
