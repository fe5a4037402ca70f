// What the idle path needs of the netpoller, which lives in a room above this one (src/poll).
//
// Invariants
//   [npoll-1] At most one M waits in poll() with a deadline other than 0; it holds no P, is in the
//             list of idle Ms, and is `sched.poller`. Polls that do not wait may come at any time.
//   [npoll-2] What poll() returns belongs to the caller, which holds the right of [park-1] to make
//             each of them runnable and queues all of them.
//   [npoll-3] Who wakes the M that waits in poll() sets its note first and calls interrupt() then.
//             poll() looks at its M's note before it waits, so an interrupt() may come too early.
//   [npoll-4] `sched.poller` is free again as soon as its M has been chosen to be woken; that M may
//             still be in poll() when the next one comes. poll() then does not wait, and the M that
//             wanted to goes round once more.
#pragma once

#include <cstdint>

#include "sched/gmp/proc.hpp"

namespace gort::sched {

struct netpoller {
  /// Waits until a descriptor that somebody waits for is ready, until `until_ns` (CLOCK_MONOTONIC;
  /// -1: no limit; 0: not at all), or until interrupt(). Returns the goroutines that may run; plain
  /// threads it readies itself.
  runnable_list (*poll)(std::int64_t until_ns) noexcept;
  /// Makes the waiting poll(), or else the next one, return at once. From any thread.
  void (*interrupt)() noexcept;
  /// A hint: does any descriptor exist?
  bool (*in_use)() noexcept;
  /// How often poll() has been called, modulo 2^32; a hint.
  std::uint32_t (*polls)() noexcept;
};

/// For a plain thread that is about to wait for a descriptor: makes sure that an M waits in poll().
/// (A goroutine need not: its M does so when it runs out of work.)
inline void watch_network() noexcept {
  if (!network_is_watched()) wake_for_global();
}

/// How many goroutines and plain threads wait for a descriptor. Exact under sched.lock while all Ps
/// are idle, else a hint.
std::int64_t io_waits() noexcept;

/// From its first use on, idle Ms wait in it. Once.
void set_netpoller(const netpoller& poller) noexcept;

}  // namespace gort::sched
