/// Mutual exclusion for goroutines and threads.
#pragma once

#include <chrono>
#include <cstdint>

#include <gort/detail/atomic.hpp>
#include <gort/detail/park.hpp>
#include <gort/detail/timed_park.hpp>
#include <gort/error.hpp>

namespace gort {

/// A Lockable and TimedLockable: std::lock_guard, std::unique_lock and std::scoped_lock work with
/// it. A goroutine that waits parks and leaves its thread to others; plain threads wait too. Not
/// recursive; not tied to who locked it: another goroutine may unlock. Go: sync.Mutex.
///
/// Invariants
///   [mutex-1] Bits of `state_`: locked; waiting: somebody is queued; woken: one waiter is awake
///   and
///             trying; starving: the mutex passes from hand to hand. The last three change only
///             under `lock_`.
///   [mutex-2] Normal mode: unlock() wakes one waiter if none is awake; that one competes with
///             newcomers, who are likely to win as they are running. That is the fast mode: who
///             has the cache line does many sections in a row.
///   [mutex-3] A waiter that has failed for 1 ms sets `starving`, which it may only while somebody
///             holds the mutex: unlock() then gives it to the first in the queue, newcomers queue
///             behind, until one gets it within 1 ms or nobody waits. So the first in the queue
///             waits 1 ms plus one section at most.
///   [mutex-4] A waiter joins the queue under `lock_` by a swap of `state_` that saw the mutex
///   locked
///             (or starving): that holder's unlock() sees `waiting` and looks under `lock_`.
class mutex {
 public:
  mutex() noexcept = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  /// Blocks until the mutex is the caller's.
  void lock() noexcept {
    // Acquire pairs with the release in unlock(). The second swap is for a free mutex that others
    // wait for. (Looking first, instead, makes that case a third faster and each other one 7%
    // slower: a load after the locked instruction of the last unlock().)
    std::uint32_t seen = 0;
    if (state_.cas_acquire(seen, locked)) [[likely]]
      return;
    if ((seen & (locked | starving)) != 0 || !state_.cas_acquire(seen, seen | locked)) [[unlikely]]
      lock_slow(seen, no_deadline);
  }

  /// Never blocks.
  [[nodiscard]] bool try_lock() noexcept {
    std::uint32_t seen = state_.load_relaxed();
    return (seen & (locked | starving)) == 0 && state_.cas_acquire(seen, seen | locked);
  }

  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> timeout) noexcept {
    return try_lock() || lock_slow(locked, detail::deadline_after(timeout));
  }
  [[nodiscard]] bool try_lock_until(std::chrono::steady_clock::time_point when) noexcept {
    return try_lock() || lock_slow(locked, detail::deadline_at(when));
  }

  /// Never blocks. Throws runtime_error("sync: unlock of unlocked mutex").
  void unlock() {
    // Release pairs with the acquire in lock().
    const std::uint32_t before = state_.fetch_sub_release(locked);
    // Nobody waits, or one waiter is awake and will look by itself.
    if (before != locked && (before & (locked | woken | starving)) != (locked | woken)) [[unlikely]]
      unlock_slow(before);
  }

 private:
  static constexpr std::uint32_t locked = 1, waiting = 2, woken = 4, starving = 8;
  static constexpr std::int64_t no_deadline = -1;

  bool lock_slow(std::uint32_t seen, std::int64_t deadline_ns) noexcept;
  void unlock_slow(std::uint32_t before);
  bool spin(std::uint32_t seen, bool awake) noexcept;
  bool take_or_mark_locked(bool awake, bool starve) noexcept;
  detail::g* choose_locked() noexcept;
  void change_locked(std::uint32_t clear, std::uint32_t set) noexcept;

  detail::atomic<std::uint32_t> state_;
  detail::spin_lock lock_;
  detail::waiter_list queue_;  // guarded by lock_
};

}  // namespace gort
