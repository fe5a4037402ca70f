// Who holds a mutex, for the report of mutexes that goroutines wait for in a circle. Written only
// while that is wanted (debug::set_deadlock_check()): else it costs a load of a word that nobody
// writes, and a predicted branch, for each time that a mutex is taken.
#pragma once

#include <cstdint>

#include <gort/detail/atomic.hpp>

namespace gort::detail {

#ifdef GORT_MODEL
class mutex_owner {  // the models look at the locks alone
 public:
  void note_self() noexcept {}
  void note_nobody() noexcept {}
};
#else
/// Odd: mutexes note who takes them. How often that was switched on and off.
extern atomic<std::uint32_t> mutex_owners_noted;

class mutex_owner {
 public:
  /// By who has just taken the mutex.
  void note_self() noexcept {
    if (mutex_owners_noted.load_relaxed() % 2 != 0) [[unlikely]]
      note_self_slow();
  }
  /// By who gives it up, before: who takes it, or is handed it, notes itself a moment later, and
  /// would seem to be waiting for the last one, or for itself.
  void note_nobody() noexcept {
    if (mutex_owners_noted.load_relaxed() % 2 != 0) [[unlikely]]
      word_.store_relaxed(0);
  }
  /// The number of the goroutine that has taken it last; 0: not known, or none. A hint, unless that
  /// one stands still.
  std::uint64_t get() const noexcept;

 private:
  void note_self_slow() noexcept;

  // A goroutine's number, and in its upper bits what mutex_owners_noted was. Written by who holds
  // the mutex.
  atomic<std::uint64_t> word_;
};
#endif

}  // namespace gort::detail
