// What the collector does with slots: holding those that are free in caches, finding objects whose
// destructor is due, and freeing. The invariants are those of allocate.cpp and heap.hpp.
//
// A span's bitmap of marks becomes its bitmap of live slots: some words for each span, so the whole
// heap is swept at once, right after the marking, beside the program. Memory is zeroed by who takes
// it.
//
// Rejected: sweeping when slots are needed (Go): it spreads what is milliseconds for a gigabyte.
// Sweeping by several: it is 2% of the CPU time of programs that do nothing but allocate.
#include <array>
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

// Its owner may be using it [alloc-4]. All acquire: each is to be read before `version` is once
// more. That of `free` also pairs with the releases where a slot is taken.
GORT_UNSANITIZED [[gnu::noinline]] void copy_bin(const bin& of, bin_seen& to) noexcept {
  to.from = __atomic_load_n(&of.from, __ATOMIC_ACQUIRE);
  to.free = of.free.load_acquire() | __atomic_load_n(&of.later, __ATOMIC_ACQUIRE);
  to.word = __atomic_load_n(&of.word, __ATOMIC_ACQUIRE);
  to.taken_over = __atomic_load_n(&of.taken_over, __ATOMIC_ACQUIRE);
  for (std::size_t i = 0; i < bitmap_words; ++i)
    to.masks[i] = __atomic_load_n(&of.masks[i], __ATOMIC_ACQUIRE);
}

}  // namespace

bin_seen look_at(const bin& of) noexcept {
  bin_seen seen;
  for (patience others;;) {
    // Acquires pair with the releases in refill().
    const std::uint64_t version = of.version.load_acquire();
    if (version == 0) break;  // never used
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
    for_each_used_bin(of, [](const bin& each, unsigned) { hold_free_of(each); });
  };
  all->for_each_of_ps([&hold](const cache& of) {
    hold(of);
    // Acquire pairs with the release in take_at_once() and the like.
    for (patience others; of.busy.load_acquire() != 0;) others.wait();
  });
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

// Those freed by one sweep; their pages become free some at a time.
class dead_spans {
 public:
  void add(span& dead) noexcept {
    constexpr std::size_t pages_at_once_max = 64;  // with the lock held
    pages_ += dead.pages;
    all_[count_++] = &dead;
    if (count_ == all_.size() || pages_ >= pages_at_once_max) free_all();
  }
  void free_all() noexcept {
    if (count_ == 0) return;
    free_spans(all_.data(), count_);
    count_ = pages_ = 0;
  }

 private:
  std::array<span*, 16> all_{};
  std::size_t count_ = 0;
  std::size_t pages_ = 0;
};

unsigned count_bits(std::uint64_t of) noexcept {
  if (of == 0) return 0;
  return of == ~std::uint64_t{0} ? 64 : static_cast<unsigned>(std::popcount(of));
}

// How many live on. By who has the lock of its class, or has it alone [central-3].
std::uint32_t sweep_bits(span& each) noexcept {
  std::uint32_t left = 0;
  std::size_t freed = 0;
  for (std::size_t i = 0; i < each.words(); ++i) {
    const std::uint64_t live = each.bits[i].live.load_relaxed();
    const std::uint64_t keep = live & each.kept(i);
    const std::uint64_t dead = live ^ keep;
    left += count_bits(keep);
    if (dead == 0) continue;
    freed += count_bits(dead);
    if (each.sampled.load_relaxed() != 0) forget_sampled(each, static_cast<std::uint32_t>(i), dead);
    each.bits[i].live.store_release(keep);  // pairs with the acquire in holds()
    if constexpr (freed_slots_are_told) {
      for (std::uint64_t rest = dead; rest != 0; rest &= rest - 1) {
        const auto slot =
            static_cast<std::uint32_t>(i * 64) + static_cast<std::uint32_t>(std::countr_zero(rest));
        tell_of_slot_freed(each.address_of(slot), each.slot_bytes);
      }
    }
  }
  count_freed(each, freed);
  return left;
}

// Its bytes that live on, of one that a cache has or had just now.
std::size_t sweep_cached(span& each, std::uint32_t cycle) noexcept {
  detail::spin_guard guard(class_of(*the_stores(), each).lock);
  if (!each.is_settled(cycle)) return 0;  // what was handed out since is counted there
  each.sweep_cycle.store_relaxed(cycle);
  return sweep_bits(each) * each.slot_bytes;
}

std::size_t sweep_span(span& each, std::uint32_t cycle, dead_spans& dead) noexcept {
  // [central-3]. Acquire pairs with the releases of who lets go of it.
  if (each.cached.load_acquire() != 0) return sweep_cached(each, cycle);
  if (!each.is_settled(cycle)) return 0;
  each.sweep_cycle.store_relaxed(cycle);
  const std::uint32_t left = sweep_bits(each);
  const std::size_t live_bytes = left * each.slot_bytes;
  if (left == 0) {
    dead.add(each);  // it may be another one's at once
  } else if (left < each.slots) {
    each.fresh = false;
    central& of = class_of(*the_stores(), each);
    detail::spin_guard guard(of.lock);
    each.next = of.list;
    of.list = &each;
  }
  return live_bytes;
}

}  // namespace

std::size_t sweep_all(std::uint32_t cycle) noexcept {
  std::size_t live_bytes = 0;
  dead_spans dead;
  for_each_span([&](span& each) { live_bytes += sweep_span(each, cycle, dead); });
  dead.free_all();
  return live_bytes;
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
