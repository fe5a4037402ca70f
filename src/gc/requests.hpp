// How cycles are asked for: between those who allocate, those who wait for one, and the collector.
//
// Invariants
//   [pace-3] `phase` goes around: none -> asked_for, by whoever is beyond the trigger or by the
//            collector when it begins; the rest is the collector's. Who has made it asked_for wants
//            a cycle that begins later than that, in the same stay inside gort; so it never stays
//            so.
//   [pace-4] It becomes none when the new lines are set, before the collector is through with the
//            cycle: the next one may be asked for then, however long its thread waits for a CPU.
//   [cycle-1] `wanted`, `begun` and `done` are numbers of cycles, under `lock` (atomic for readers
//             without it). Who waits for a cycle wants number begun + 1, which begins later.
//   [cycle-3] A look is asked for by setting `look`, then ringing; the collector notes the bell,
//             then takes `look`. So it is seen, or the bell has changed and it does not sleep. So
//             too with what is wanted; and when enough was handed out for the heap to be watched
//             (quiet.hpp).
//   [cycle-4] From changing the bell until who sleeps for it has been woken one is inside gort: who
//             comes later finds the cycle wanted, and rings no more; so he would wait as long as
//             the first one stands still.
//
// tests/model/requests_model.cpp goes through all orders of those who ask, wait and collect.
#pragma once

#include <cstdint>

#include <gort/detail/atomic.hpp>
#include <gort/detail/inside.hpp>
#include <gort/detail/spin_lock.hpp>

namespace gort::managed {

enum class cycle_phase : std::uint32_t { none, asked_for, marking, ending };

struct cycle_requests {
  detail::spin_lock lock;
  detail::atomic<std::uint32_t> wanted;
  detail::atomic<std::uint32_t> begun;
  detail::atomic<std::uint32_t> done;
  detail::atomic<std::uint32_t> look;  // [cycle-3]
  detail::atomic<std::uint32_t> bell;  // a futex: something is wanted
  detail::atomic<cycle_phase> phase;   // [pace-3]

  /// `wake`: who sleeps for the bell. Inside gort for all of it [cycle-4].
  template <class Wake>
  void want(std::uint32_t number, Wake wake) noexcept {
    const detail::inside_gort inside;
    {
      const detail::spin_guard guard(lock);
      if (static_cast<std::int32_t>(number - wanted.load_relaxed()) <= 0) return;
      wanted.store_relaxed(number);
      bell.fetch_add_relaxed(1);
    }
    wake();
  }

  /// Release pairs with the acquire in note_bell().
  template <class Wake>
  void ring(Wake wake) noexcept {
    bell.fetch_add_acq_rel(1);
    wake();
  }

  /// None -> asked_for. True: the caller is to want a cycle.
  bool is_first_to_ask() noexcept {
    auto none = cycle_phase::none;
    // Acquire-release: who asks looks which cycle has begun after that [pace-3]; the collector's
    // store in lines_are_set() comes after its beginning.
    return phase.cas_acq_rel(none, cycle_phase::asked_for);
  }

  /// `is_first`: is_first_to_ask(), and what else is to be noted.
  template <class First, class Wake>
  void ask_if_first(First is_first, Wake wake) noexcept {
    const detail::inside_gort inside;  // [pace-3]
    if (is_first()) want(begun.load_relaxed() + 1, wake);
  }

  // --- the collector

  /// To be compared by who sleeps: whatever is asked for after this changes it [cycle-3].
  std::uint32_t note_bell() const noexcept { return bell.load_acquire(); }  // pairs with who rings

  /// False: none is wanted. `with_lock` is called with its number.
  template <class F>
  bool begin_if_wanted(F with_lock) noexcept {
    const detail::spin_guard guard(lock);
    const std::uint32_t number = begun.load_relaxed() + 1;
    if (static_cast<std::int32_t>(wanted.load_relaxed() - number) < 0) return false;
    begun.store_relaxed(number);
    with_lock(number);
    return true;
  }

  /// Release pairs with the acquire in is_first_to_ask(); [pace-4].
  void lines_are_set() noexcept { phase.store_release(cycle_phase::none); }

  void end() noexcept {
    const detail::spin_guard guard(lock);
    done.store_relaxed(begun.load_relaxed());
  }
};

}  // namespace gort::managed
