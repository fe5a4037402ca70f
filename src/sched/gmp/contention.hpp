// Waits and unlockings, told to the block and the mutex profile (record/contention.hpp) with the
// stack of whom they belong to. Off, each costs a load and a predicted branch, where somebody waits
// or has waited anyway.
#pragma once

#include <cstdint>

namespace gort::sched {

/// One wait for a lock, on the stack of who waits: waiter::slot points to it.
struct lock_wait {
  std::int64_t since_ns = 0;  // of the whole lock(), which may wait several times; the lock's own
  std::int64_t queued_ns = 0;
  // Written by who lets it go on, before ready(): what note_unlocking() returned.
  const void* ended_by = nullptr;
};

}  // namespace gort::sched

#ifdef GORT_MODEL
namespace gort::sched {
// The models look at the locks alone.
inline bool mutex_events_are_wanted() noexcept { return false; }
inline std::int64_t lock_time_ns() noexcept { return 0; }
inline const void* note_unlocking(std::int64_t) noexcept { return nullptr; }
inline void note_lock_wait(const lock_wait&) noexcept {}
}  // namespace gort::sched
#else

#include <gort/detail/wait_reason.hpp>

#include "record/contention.hpp"

namespace gort::sched {

/// The block profile's rate; returns the previous one. Not in a signal handler.
std::int64_t set_block_rate(std::int64_t rate_ns) noexcept;

/// Exists while its function waits: in park() and its like, where seam::is_wait_wanted(). Not
/// sleeps, the network, and waits for ever, as in Go.
class watched_wait {
 public:
  explicit watched_wait(detail::wait_reason why) noexcept {
    if (record::block_events.rate() != 0) [[unlikely]]
      begin(why);
  }
  ~watched_wait() {
    if (since_ns_ != 0) [[unlikely]]
      end();
  }
  watched_wait(const watched_wait&) = delete;
  watched_wait& operator=(const watched_wait&) = delete;

 private:
  void begin(detail::wait_reason why) noexcept;
  void end() noexcept;

  std::int64_t since_ns_ = 0;  // 0: nobody wants to know
};

inline bool mutex_events_are_wanted() noexcept { return record::mutex_events.rate() != 0; }
std::int64_t lock_time_ns() noexcept;  // CLOCK_MONOTONIC

/// The calling function is part of an unlock() that others have waited for, together so long.
/// Holding no lock; before those who go on are readied. Not null: it is kept, and so are their
/// waits.
const void* note_unlocking(std::int64_t delayed_ns) noexcept;
/// The calling function is part of a lock() that has waited, until an unlocking that is kept.
void note_lock_wait(const lock_wait& ended) noexcept;

}  // namespace gort::sched
#endif  // GORT_MODEL
