// A spin lock for critical sections of a few dozen instructions.
//
// Invariants
//   [spin-1] The holder never parks, never runs user code that may block, never allocates while
//            holding it. Moving one element of a channel is the longest thing done under one.
//   [spin-2] It is not recursive and its holder is a thread, not a goroutine.
//   [spin-3] Its holder is inside gort [inside-1]: it is not parked by a signal.
//
// A waiter first spins with growing pauses: the pauses let the holder, whose cache owns the line,
// do several operations in a row, which is worth more than quick hand-over. After a bounded number
// of rounds the holder's thread is taken to be descheduled and the waiter yields its processor.
//
// Rejected: a ticket lock (fair, but a descheduled waiter then stops everybody behind it); a futex
// lock (its unlock needs a read-modify-write, ours is a plain store).
#pragma once

#include <gort/detail/atomic.hpp>
#include <gort/detail/delay_point.hpp>
#include <gort/detail/inside.hpp>

namespace gort::detail {

class spin_lock {
 public:
  void lock() noexcept {
    enter_gort();
    lock_inside();
  }

  /// For who is inside gort, and stays so until after unlock_inside().
  void lock_inside() noexcept {
    delay_point(delay_at::lock);
    // Acquire pairs with the release in unlock_inside().
    if (word_.exchange_acquire(1) != 0) [[unlikely]]
      lock_slow();
    delay_point(delay_at::lock);
  }

  bool try_lock() noexcept {
    enter_gort();
    if (word_.load_relaxed() == 0 && word_.exchange_acquire(1) == 0) return true;
    exit_gort();
    return false;
  }

  void unlock() noexcept {
    unlock_inside();
    exit_gort();
  }

  void unlock_inside() noexcept {
    delay_point(delay_at::lock);
    word_.store_release(0);  // pairs with the acquire in lock_inside() and try_lock()
    delay_point(delay_at::lock);
  }

  /// For who knows that nobody will lock it any more: the last holder's unlock() has been.
  void wait_until_free() noexcept {
#ifdef GORT_MODEL
    if (::gort::model::self() < 0) return;  // an execution that was given up, with the lock held
#endif
    // Acquire pairs with the release in unlock().
    if (word_.load_acquire() == 0) [[likely]]
      return;
    lock();
    unlock();
  }

 private:
#ifdef GORT_MODEL
  void lock_slow() noexcept {
    while (word_.exchange_acquire(1) != 0) model_wait();
  }
  void model_wait() noexcept {
    ::gort::model::wait_until(word_.address(), [this] { return *word_.address() == 0; });
  }
#else
  void lock_slow() noexcept;  // src/sched/gmp/spin_lock.cpp
#endif
  atomic<unsigned> word_;
};

// std::lock_guard without <mutex> in every public header.
class spin_guard {
 public:
  explicit spin_guard(spin_lock& lock) noexcept : lock_(&lock) { lock_->lock(); }
  ~spin_guard() {
    if (lock_ != nullptr) lock_->unlock();
  }
  /// Unlocks now.
  void release() noexcept {
    lock_->unlock();
    lock_ = nullptr;
  }
  spin_guard(const spin_guard&) = delete;
  spin_guard& operator=(const spin_guard&) = delete;

 private:
  spin_lock* lock_;
};

}  // namespace gort::detail
