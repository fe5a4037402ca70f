// Places where a thread may be held up on purpose, to be found out about interleavings that a
// machine with few processors almost never shows. Nothing, but in a build with GORT_DELAYS.
//
// They stand where something changes hands: just before it does, or between two steps that must be
// right in any order. A new seam of that kind gets one; code between two seams needs none.
#pragma once

#include <cstdint>

namespace gort::detail {

enum class delay_at : std::uint8_t {
  lock,        // before a spin lock is tried, after it was got, before and after it is given back
  note_sleep,  // before a thread lies down
  note_wake,   // before it is woken, and between the word and the system call
  park,        // after a G has published itself, before it leaves
  ready,       // before a G that was taken off a list is queued
  leave,       // before a switch
  switched,    // after it, before the one left behind is free
  steal,       // between looking into another's queue and taking
  idle,        // between giving the P back and lying down
  timer,       // between the look at a heap and its lock, and before a timer fires
  poll,        // between an event and its waiter, between publishing a waiter and parking
  use_p,       // after entering gort, before looking whether the P is still there
  take_p,      // between the steps of taking a P behind its thread's back
  give_p,      // before a P is handed to an M
  claimed,     // between finding a G parked and looking at it
  observed,    // between telling of events and looking at a G, when a trace begins
};

#if defined(GORT_DELAYS) && !defined(GORT_MODEL)
/// Mostly does nothing; sometimes yields, spins for microseconds, rarely sleeps for milliseconds.
/// In signal handlers too. Random, from GORT_SEED and the thread's number. errno stays.
void delay_point(delay_at where) noexcept;  // src/sched/gmp/delay_point.cpp
#else
inline void delay_point(delay_at) noexcept {}
#endif

}  // namespace gort::detail
