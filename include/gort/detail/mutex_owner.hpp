// Who holds a mutex, for the report of mutexes that goroutines wait for in a circle. Written only
// while that is wanted (debug::set_deadlock_check()).
//
// Else it costs nothing: lock() takes mutex_free_state for the word of a free mutex, which is 0;
// while owners are noted it is what no mutex ever is, so that each lock() goes the longer way, and
// has unlock() do the same by leaving a debt [mutex-5]. This word alone says whether they are, and
// since which time: it is another one each time.
#pragma once

#include <cstdint>

#include <gort/detail/atomic.hpp>

namespace gort::detail {

/// Not a bit of mutex::state_.
constexpr std::uint32_t no_mutex_state = 16;

#ifdef GORT_MODEL
// The models look at the locks alone, with and without the debts.
inline std::uint32_t model_free_state = 0;
inline std::uint32_t mutex_free_state_now() noexcept { return model_free_state; }
class mutex_owner {
 public:
  static bool is_noted() noexcept { return model_free_state != 0; }
  void note_self() noexcept {}
  void note_nobody() noexcept {}
};
#else
/// 0: owners are not noted. Else no_mutex_state, and above it, in 16 bits, how often that was
/// switched on; never 0 there. Who still reads the old one misses a note.
extern atomic<std::uint32_t> mutex_free_state;
inline std::uint32_t mutex_free_state_now() noexcept { return mutex_free_state.load_relaxed(); }
/// Returns what it was. Of several at once, one after the other.
bool note_mutex_owners(bool on) noexcept;

class mutex_owner {
 public:
  static bool is_noted() noexcept { return mutex_free_state_now() != 0; }
  /// By who has just taken the mutex.
  void note_self() noexcept;
  /// By who gives it up, before: who takes it, or is handed it, notes itself a moment later, and
  /// would seem to be waiting for the last one, or for itself.
  void note_nobody() noexcept { word_.store_relaxed(0); }
  /// The number of the goroutine that has taken it last; 0: not known, or none. A hint, unless that
  /// one stands still.
  std::uint64_t get() const noexcept;

 private:
  // A goroutine's number, and in its upper bits those of mutex_free_state. Written by who holds the
  // mutex.
  atomic<std::uint64_t> word_;
};
#endif

}  // namespace gort::detail
