/// Waiting for a condition that a lock guards.
#pragma once

#include <chrono>

#include <gort/detail/park.hpp>
#include <gort/detail/timed_park.hpp>

namespace gort {

/// A condition variable for any Lockable (gort::mutex, std::unique_lock of one). Waiters are woken
/// first in first out and never spuriously, but the condition must be looked at again all the same:
/// others may have run in between. Goroutines and plain threads. Go: sync.Cond.
class cond {
 public:
  cond() noexcept = default;
  cond(const cond&) = delete;
  cond& operator=(const cond&) = delete;

  /// Unlocks `lock`, blocks until signal() or broadcast(), locks again. Go: Wait.
  template <class Lock>
  void wait(Lock& lock) {
    detail::waiter self;
    enqueue(self);
    lock.unlock();
    detail::park(detail::wait_reason::sync_cond_wait);
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
    detail::waiter self;
    detail::timed_park timed;
    self.ticket = &timed.ticket;
    enqueue(self);
    lock.unlock();
    const bool in_time = timed.wait_until(deadline_ns, detail::wait_reason::sync_cond_wait);
    if (!in_time) withdraw(self);
    lock.lock();
    return in_time;
  }

  /// Wakes the longest waiter, if any. Never blocks. Go: Signal.
  void signal() noexcept;
  /// Wakes all. Never blocks. Go: Broadcast.
  void broadcast() noexcept;

 private:
  void enqueue(detail::waiter& self) noexcept;
  void withdraw(detail::waiter& self) noexcept;

  detail::spin_lock lock_;
  detail::waiter_list waiting_;  // guarded by lock_
};

}  // namespace gort
