/// Mutual exclusion for goroutines and threads.
#pragma once

#include <chrono>
#include <cstdint>

#include <gort/detail/atomic.hpp>
#include <gort/detail/mutex_owner.hpp>
#include <gort/detail/park.hpp>
#include <gort/detail/timed_park.hpp>
#include <gort/detail/waiting_sum.hpp>
#include <gort/error.hpp>

namespace gort {

namespace detail {
struct mutex_access;  // src/report/mutex_cycles.cpp
}

/// A Lockable and TimedLockable: std::lock_guard, std::unique_lock and std::scoped_lock work with
/// it. A goroutine that waits parks and leaves its thread to others; plain threads wait too. Not
/// recursive; not tied to who locked it: another goroutine may unlock. Whoever knows that nobody
/// else will lock it may destroy it as soon as it is unlocked, though the one that unlocked it
/// before is still on its way out of unlock(). Go: sync.Mutex.
///
/// Invariants
///   [mutex-1] Bits of `state_`: locked; waiting: somebody is queued; woken: one waiter is awake
///             and trying; starving: the mutex passes from hand to hand; owed: a waiter is to be
///             woken by the unlock(). It is held while `locked` or `owed` is set. Bits other than
///             `locked` are set under `lock_`, or by an awake waiter that takes the mutex, and
///             `owed` by who holds it and has noted that [detail/mutex_owner.hpp].
///   [mutex-2] Normal mode: unlock() wakes one waiter if none is awake; that one competes with
///             newcomers, who are likely to win as they are running. That is the fast mode: who
///             has the cache line does many sections in a row.
///   [mutex-3] A waiter that has failed for 1 ms sets `starving`, which it may only while somebody
///             holds the mutex: unlock() then gives it to the first in the queue, newcomers queue
///             behind, until one gets it within 1 ms or nobody waits. So the first in the queue
///             waits 1 ms plus one section at most.
///   [mutex-4] A waiter joins the queue under `lock_` by a swap of `state_` that saw the mutex held
///             and leaves `owed` set, unless a waiter is awake.
///   [mutex-5] unlock() takes `locked` away. If `owed` was not set, the mutex is free, and the
///             caller touches it no more: it may be gone. If it was, the caller still holds it,
///             chooses whom to wake, and only then sets it free.
///   [mutex-6] `locked` is the topmost bit, and unlock() subtracts it: of a free mutex the borrow
///             is lost, and the misuse has taken the mutex. Unlocking it again, with all that
///             belongs to it, undoes that; no other bit has ever changed.
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
    std::uint32_t seen = detail::mutex_free_state_now();
    if (state_.cas_acquire(seen, locked)) [[likely]]
      return;
    if ((seen & held) != 0 || !state_.cas_acquire(seen, seen | locked)) [[unlikely]]
      lock_slow(seen, no_deadline);
    note_owner();
  }

  /// Never blocks.
  [[nodiscard]] bool try_lock() noexcept {
    std::uint32_t seen = state_.load_relaxed();
    if ((seen & held) != 0 || !state_.cas_acquire(seen, seen | locked)) return false;
    note_owner();
    return true;
  }

  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(std::chrono::duration<Rep, Period> timeout) noexcept {
    return try_lock() || lock_by(detail::deadline_after(timeout));
  }
  [[nodiscard]] bool try_lock_until(std::chrono::steady_clock::time_point when) noexcept {
    return try_lock() || lock_by(detail::deadline_at(when));
  }

  /// Never blocks. Throws runtime_error("sync: unlock of unlocked mutex"); it is usable all the
  /// same then.
  void unlock() {
    // Release pairs with the acquire in lock().
    const std::uint32_t before = state_.fetch_sub_release(locked);
    if (before == locked) [[likely]]
      return;
    // Not owed: nobody waits, or one waiter is awake and will look by itself [mutex-5].
    if ((before & (locked | owed)) != locked) [[unlikely]]
      unlock_slow(before);
  }

 private:
  friend struct detail::mutex_access;
  static constexpr std::uint32_t waiting = 1, woken = 2, starving = 4, owed = 8, locked = 1u << 31;
  static constexpr std::uint32_t held = locked | owed;
  static constexpr std::int64_t no_deadline = -1;

  // What the state is to be when it is held: `owed` if somebody has to be woken [mutex-4].
  static constexpr std::uint32_t with_debt(std::uint32_t s) noexcept {
    return (s & starving) != 0 || (s & (waiting | woken)) == waiting ? s | owed : s;
  }

  bool lock_by(std::int64_t deadline_ns) noexcept {
    const bool mine = lock_slow(locked, deadline_ns);
    if (mine) note_owner();
    return mine;
  }
  void note_owner() noexcept {
    if (detail::mutex_owner::is_noted()) [[unlikely]]
      note_owner_slow();
  }
  void note_owner_slow() noexcept;
  bool lock_slow(std::uint32_t seen, std::int64_t deadline_ns) noexcept;
  void unlock_slow(std::uint32_t before);
  std::uint32_t give_up_locked_bit() noexcept;
  void pay_debt() noexcept;
  bool spin(std::uint32_t seen, bool awake) noexcept;
  bool take_or_mark_locked(bool awake, bool starve) noexcept;
  bool choose_locked(detail::waiter*& chosen) noexcept;
  void arrive_locked(detail::waiter& who) noexcept;
  void depart_locked(detail::waiter& who) noexcept;

  detail::atomic<std::uint32_t> state_;
  detail::spin_lock lock_;
  detail::waiter_list queue_;                        // guarded by lock_
  detail::waiting_sum waits_;                        // likewise; of those in the queue
  [[no_unique_address]] detail::mutex_owner owner_;  // a hint, for reports
};

}  // namespace gort
