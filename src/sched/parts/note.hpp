// A one-shot wake-up between two threads: an M that sleeps, a plain thread in park().
//
// Invariants
//   [note-1] One thread sleeps; for each sleep() there is exactly one wake(), before or after it.
//   [note-2] The word is 0 (clear), 1 (woken) or 2 (asleep): wake() pays for a system call only if
//            somebody is asleep.
#pragma once

#include <cstdint>

#include <gort/detail/atomic.hpp>
#include <gort/detail/delay_point.hpp>

#ifndef GORT_MODEL
#include "os/thread.hpp"
#endif

namespace gort::sched {

class note {
 public:
  /// Blocks the thread until wake(), then clears. False: `deadline_ns` passed (only if >= 0), and
  /// no wake() was consumed.
  bool sleep(std::int64_t deadline_ns = -1) noexcept {
    detail::delay_point(detail::delay_at::note_sleep);
    std::uint32_t seen = 0;
    // Acquire on failure pairs with the release in wake(): what the waker wrote is visible.
    if (!word_.cas_acquire(seen, asleep)) {
      word_.store_relaxed(clear);  // was woken; nobody else touches it until the next sleep
      return true;
    }
    for (;;) {
      const bool in_time = wait(deadline_ns);
      // Acquire pairs with the release in wake().
      if (word_.load_acquire() == woken) {
        word_.store_relaxed(clear);
        return true;
      }
      if (!in_time) {
        std::uint32_t expected = asleep;
        if (word_.cas_acquire(expected, clear)) return false;
        word_.store_relaxed(clear);  // a wake() came in at the last moment
        return true;
      }
    }
  }

  /// Consumes a wake() that has come; does not block. False: none has, and none is consumed.
  bool try_consume() noexcept {
    // Acquire pairs with the release in wake(). Only the sleeper's thread clears the word.
    if (word_.load_acquire() != woken) return false;
    word_.store_relaxed(clear);
    return true;
  }

  /// For the sleeper's thread: has a wake() come that no sleep() has consumed?
  bool is_woken() const noexcept {
    return word_.load_acquire() == woken;  // pairs with the release in wake()
  }

  /// The sleeper may be gone, and the note with it, as soon as this has stored: the kernel is then
  /// asked to wake an address that nobody waits on, which does nothing.
  void wake() noexcept {
    detail::delay_point(detail::delay_at::note_wake);
    // Release pairs with the acquires in sleep().
    if (word_.exchange_release(woken) != asleep) return;
    detail::delay_point(detail::delay_at::note_wake);
    wake_sleeper();
  }

 private:
  static constexpr std::uint32_t clear = 0, woken = 1, asleep = 2;
#ifdef GORT_MODEL
  bool wait(std::int64_t) noexcept {
    ::gort::model::futex_wait(word_, asleep);
    return true;
  }
  void wake_sleeper() noexcept { ::gort::model::futex_wake(word_); }
#else
  bool wait(std::int64_t deadline_ns) noexcept {
    return os::futex_wait(word_.address(), asleep, deadline_ns);
  }
  void wake_sleeper() noexcept { os::futex_wake(word_.address(), 1); }
#endif
  detail::atomic<std::uint32_t> word_;
};

}  // namespace gort::sched
