/// Many readers or one writer.
#pragma once

#include <cstdint>

#include <gort/detail/atomic.hpp>
#include <gort/detail/park.hpp>
#include <gort/detail/waiting_sum.hpp>
#include <gort/error.hpp>

namespace gort {

/// A SharedLockable: std::shared_lock and std::unique_lock work with it. A waiting writer blocks
/// new readers; a writer that leaves lets the readers that wait in before the next writer: neither
/// side starves. Do not lock it for reading twice in one goroutine: a writer may come in between.
/// Any goroutine or thread may unlock; as many may read as like to. May be destroyed as a mutex may
/// (gort/mutex.hpp). Go: sync.RWMutex.
///
/// Invariants
///   [rw-1] `state_`: bit 0 says that a writer is in, bit 1 that one waits, the rest counts readers
///          that are in or wait to be let in. Readers come in at once while both bits are clear.
///          Bit 1 and whatever else changes while a bit is set changes under `lock_`, except that
///          readers count themselves.
///   [rw-2] A writer that finds readers in notes their number in `leaving_`. These readers' ends
///          count it down, under `lock_`, and the one that takes it to zero lets the writer in.
///          While it is not zero nobody else can: whoever has to count down may touch the object.
///   [rw-3] A writer that leaves lets in all readers that are counted by then, before the next
///          writer. Of these some may not be queued yet: so many as `may_enter_` says need not.
///   [rw-4] The last access of whoever leaves is the one that sets the lock free; or, if it lets
///          others in, precedes ready(), or the unlocking of `lock_` that they wait for.
///   [rw-5] Nothing is counted before it is certain: a misuse changes nothing.
///
/// Rejected: leaving by a subtraction, which is faster when many readers leave at once: a misuse,
/// though it is undone, has by then shown others a count that is too small.
class rw_mutex {
 public:
  rw_mutex() noexcept = default;
  rw_mutex(const rw_mutex&) = delete;
  rw_mutex& operator=(const rw_mutex&) = delete;

  /// Blocks until no writer holds the lock or waits for it. Go: RLock.
  void lock_shared() noexcept {
    // Acquire pairs with the release in unlock().
    if ((state_.fetch_add_acquire(one_reader) & any_writer) != 0) [[unlikely]]
      lock_shared_slow();
  }
  [[nodiscard]] bool try_lock_shared() noexcept {
    std::uint64_t seen = state_.load_relaxed();
    while ((seen & any_writer) == 0) {
      if (state_.cas_acquire(seen, seen + one_reader)) return true;  // as in lock_shared()
    }
    return false;
  }
  /// Never blocks. Throws runtime_error("sync: RUnlock of unlocked RWMutex").
  void unlock_shared() {
    std::uint64_t seen = state_.load_relaxed();
    while ((seen & any_writer) == 0 && seen != 0) {
      // Release pairs with the acquires in lock() and try_lock().
      if (state_.cas_release(seen, seen - one_reader)) [[likely]]
        return;
    }
    unlock_shared_slow();
  }

  /// Blocks until the lock is the caller's alone. Go: Lock.
  void lock() noexcept {
    if (!try_lock()) lock_slow();
  }
  [[nodiscard]] bool try_lock() noexcept {
    std::uint64_t free = 0;
    // Acquire pairs with the release in unlock_shared() and in unlock().
    return state_.cas_acquire(free, writer_in);
  }
  /// Never blocks. Throws runtime_error("sync: Unlock of unlocked RWMutex").
  void unlock() {
    std::uint64_t alone = writer_in;
    // Release pairs with the acquires in lock_shared() and try_lock().
    if (!state_.cas_release(alone, 0)) [[unlikely]]
      unlock_slow();
  }

 private:
  static constexpr std::uint64_t writer_in = 1, writer_waits = 2, any_writer = 3, one_reader = 4;

  void lock_shared_slow() noexcept;
  void unlock_shared_slow();
  void lock_slow() noexcept;
  void unlock_slow();
  detail::waiter* let_writer_in_locked() noexcept;
  void arrive_locked(detail::waiter& who) noexcept;
  void depart_locked(detail::waiter& who) noexcept;
  std::int64_t charge_locked() noexcept;

  detail::atomic<std::uint64_t> state_;
  detail::spin_lock lock_;
  std::uint64_t leaving_ = 0;    // guarded by lock_, as is all that follows [rw-2]
  std::uint64_t may_enter_ = 0;  // [rw-3]
  std::uint64_t queued_readers_ = 0;
  detail::waiter_list waiting_readers_;
  detail::waiter_list waiting_writers_;
  detail::waiting_sum waits_;  // of both
};

}  // namespace gort
