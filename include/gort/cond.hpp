/// Waiting for a condition that a lock guards.
#pragma once

#include <chrono>
#include <cstdint>

#include <gort/detail/atomic.hpp>
#include <gort/detail/park.hpp>
#include <gort/detail/timed_park.hpp>

namespace gort {

/// A condition variable for any Lockable (gort::mutex, std::unique_lock of one). Waiters are woken
/// first in first out and never spuriously, but the condition must be looked at again all the same:
/// others may have run in between. May be destroyed when all that wait have been woken, as POSIX
/// allows. Goroutines and plain threads. Go: sync.Cond.
class cond {
 public:
  cond() noexcept = default;
  cond(const cond&) = delete;
  cond& operator=(const cond&) = delete;

  /// Unlocks `lock`, blocks until signal() or broadcast(), locks again. Both may block themselves.
  /// Throws what these two throw: if the unlocking does, the call has not waited, and no signal is
  /// lost by it. Go: Wait.
  template <class Lock>
  void wait(Lock& lock) {
    in_line self;
    enqueue(self);
    unlock(lock, self);
    const detail::awaited this_one{this, nullptr, &self};
    if (self.parks()) detail::park(detail::wait_reason::sync_cond_wait, &this_one);
    lock.lock();
  }
  template <class Lock, class Predicate>
  void wait(Lock& lock, Predicate condition) {
    while (!condition()) wait(lock);
  }

  /// wait() for at most `timeout`; false: it has passed.
  template <class Lock, class Rep, class Period>
  [[nodiscard]] bool wait_for(Lock& lock, std::chrono::duration<Rep, Period> timeout) {
    const std::int64_t deadline_ns = detail::deadline_after(timeout);
    in_line self;
    detail::timed_park timed;
    self.ticket = &timed.ticket;
    enqueue(self);
    unlock(lock, self);
    const bool in_time =
        !self.parks() || timed.wait_until(deadline_ns, detail::wait_reason::sync_cond_wait);
    if (!in_time) withdraw(self);
    lock.lock();
    return in_time;
  }

  /// Wakes the longest waiter, if any. Never blocks. Go: Signal.
  void signal() noexcept;
  /// Wakes all. Never blocks. Go: Broadcast.
  void broadcast() noexcept;

 private:
  // It stands in line before it unlocks, and whoever is faster must not ready it until it parks:
  // unlock() is the user's, and may park for something else [park-3]. So the two meet at a word on
  // the waiter's stack; the cond may be gone by then.
  struct in_line : detail::waiter {
    static constexpr std::uint32_t on_its_way = 0, parked = 1, woken = 2;
    detail::atomic<std::uint32_t> state;

    // False: a wake-up has come, and no ready() follows. Acquire-release, both: what the other has
    // done before is visible, and a waker that finds `on_its_way` does not look at it again.
    bool parks() noexcept { return state.exchange_acq_rel(parked) != woken; }
    // By who has taken it off the list. True: it must be readied.
    bool wake() noexcept { return state.exchange_acq_rel(woken) == parked; }
  };

  template <class Lock>
  void unlock(Lock& lock, in_line& self) {
    struct on_throw {
      cond& of;
      in_line* queued;
      ~on_throw() {
        if (queued != nullptr) of.leave(*queued);
      }
    } guard{*this, &self};
    lock.unlock();
    guard.queued = nullptr;
  }
  void leave(in_line& self) noexcept;
  void enqueue(in_line& self) noexcept;
  void withdraw(in_line& self) noexcept;
  detail::waiter* pop_parked_locked(bool& any) noexcept;

  detail::spin_lock lock_;
  detail::waiter_list waiting_;  // guarded by lock_
};

}  // namespace gort
