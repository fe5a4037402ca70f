/// Many readers or one writer.
#pragma once

#include <cstdint>

#include <gort/detail/atomic.hpp>
#include <gort/detail/park.hpp>
#include <gort/error.hpp>

namespace gort {

/// A SharedLockable: std::shared_lock and std::unique_lock work with it. A waiting writer blocks
/// new readers; a writer that leaves lets the readers that wait in before the next writer: neither
/// side starves. Do not lock it for reading twice in one goroutine: a writer may come in between.
/// Any goroutine or thread may unlock. Go: sync.RWMutex.
///
/// Invariants
///   [rw-1] `state_`: bit 31 says that a writer holds the lock or waits for it; the rest counts
///          readers that are in, or that have tried and are about to take themselves out again.
///   [rw-2] `writer_in_` and the queues are guarded by `lock_`; bit 31 changes under it.
///   [rw-3] Whoever takes the count to zero while bit 31 is set looks, under `lock_`, whether a
///          writer can be let in.
///   [rw-4] Readers and writers that were queued are counted in, or set as writer, by whoever wakes
///          them.
class rw_mutex {
 public:
  rw_mutex() noexcept = default;
  rw_mutex(const rw_mutex&) = delete;
  rw_mutex& operator=(const rw_mutex&) = delete;

  /// Blocks until no writer holds the lock or waits for it. Go: RLock.
  void lock_shared() noexcept {
    // Acquire pairs with the release in unlock().
    if ((state_.fetch_add_acquire(1) & writer) != 0) [[unlikely]]
      lock_shared_slow();
  }
  [[nodiscard]] bool try_lock_shared() noexcept {
    std::uint32_t seen = state_.load_relaxed();
    while ((seen & writer) == 0) {
      if (state_.cas_acquire(seen, seen + 1)) return true;
    }
    return false;
  }
  /// Throws runtime_error("sync: RUnlock of unlocked RWMutex").
  void unlock_shared() {
    // Release pairs with the acquire in lock().
    const std::uint32_t before = state_.fetch_sub_release(1);
    if ((before & readers) == 0 || before == (writer | 1)) [[unlikely]]
      unlock_shared_slow(before);
  }

  /// Blocks until the lock is the caller's alone. Go: Lock.
  void lock() noexcept;
  [[nodiscard]] bool try_lock() noexcept;
  /// Throws runtime_error("sync: Unlock of unlocked RWMutex").
  void unlock();

 private:
  static constexpr std::uint32_t writer = 1u << 31;
  static constexpr std::uint32_t readers = writer - 1;

  void lock_shared_slow() noexcept;
  void unlock_shared_slow(std::uint32_t before);
  detail::g* admit_writer_locked() noexcept;

  detail::atomic<std::uint32_t> state_;
  detail::spin_lock lock_;
  bool writer_in_ = false;
  detail::waiter_list waiting_readers_;
  detail::waiter_list waiting_writers_;
};

}  // namespace gort
