// For how long a G is runnable before it runs: what /sched/latencies:seconds counts. Written at the
// seams, always; whether somebody observes them or not.
//
// A G that becomes runnable may be stamped with the time and a weight (record/event_sampler.hpp
// says which ones are); when it starts, a stamp goes into the histogram of the P that it starts
// with.
//
// Invariants
//   [latency-1] g::latency_stamp is written by who makes it runnable, before it can be found, and
//               taken by who starts it. One that is woken while it is preempted in place [hand-4]
//               is made runnable twice and measured once, from the later time: the word is atomic,
//               and nothing hangs on it.
//   [latency-2] A spawn record has no room for a stamp and for the time that observers want: a
//               stamp in runnable_since_ns is negative, and whoever makes a G of it puts it right.
//   [latency-3] A histogram is written by who holds its P, outside of the sampler's interruption:
//               one that goes on in place does so in a signal handler, over user code [hist-3].
#pragma once

#include <cstdint>

#include "sched/gmp/proc.hpp"

namespace gort::sched::latency {

/// The time modulo 2^48 ns (78 h), the weight above it, and the sign. 0: none.
using stamp = std::uint64_t;

/// Of an event that is measured.
stamp stamp_slow(std::uint32_t weight) noexcept;

/// mine: the P that this thread holds; null: none, and then all events are measured.
[[gnu::always_inline]] inline stamp stamp_if_taken(p* mine) noexcept {
  std::uint32_t weight = 1;
  if (mine != nullptr) [[likely]]
    weight = mine->recorded.wake_ups.take();
  return weight == 0 ? 0 : stamp_slow(weight);
}

/// `it` becomes runnable, and was taken.
void begin_slow(g& it, std::uint32_t weight) noexcept;
[[gnu::always_inline]] inline void begin(g& it, p& mine) noexcept {
  if (const std::uint32_t weight = mine.recorded.wake_ups.take(); weight != 0) [[unlikely]]
    begin_slow(it, weight);
}
[[gnu::always_inline]] inline void begin(g& it, p* mine) noexcept {
  if (mine != nullptr) [[likely]]
    begin(it, *mine);
  else
    begin_slow(it, 1);
}

/// The same for one that has not started yet.
inline void begin(detail::spawn_record& born, p* mine) noexcept {
  if (const stamp s = stamp_if_taken(mine); s != 0) [[unlikely]]
    born.runnable_since_ns = static_cast<std::int64_t>(s);  // [latency-2]
}

/// `it` is what became of a record with that time.
void adopt_slow(g& it) noexcept;
inline void adopt(g& it) noexcept {
  if (it.runnable_since_ns < 0) [[unlikely]]
    adopt_slow(it);
}

/// `it` runs, on its M.
void end_slow(g& it) noexcept;
[[gnu::always_inline]] inline void end(g& it) noexcept {
  if (it.stamped.load_relaxed() != 0) [[unlikely]]
    end_slow(it);
}

/// Around a wait for a mutex; 0: it is not measured.
struct mutex_wait {
  std::int64_t since_ns = 0;
  std::uint32_t weight = 0;
};
mutex_wait begin_mutex_wait(p* mine) noexcept;
void end_mutex_wait(const mutex_wait& began, p* mine) noexcept;

}  // namespace gort::sched::latency
