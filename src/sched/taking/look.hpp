// Looking at some goroutines while all go on: what the wall profile is made of.
//
// Problem: who wants to know what goroutines do, or wait for, must see stacks that may change at
// any moment, a hundred times a second, of one goroutine or of a million, and nobody may be stopped
// for it but for the microsecond that it takes to walk his own stack.
//
// So a bounded number of slots is picked at random, and some of the goroutines found there are
// looked at where they are:
//   - parked, or runnable: the stack is claimed as for dropping pages (stack_trim.cpp, visit.cpp),
//     and whoever is about to run it waits until it has been walked;
//   - in place: its thread sleeps until somebody takes sched.lock, and the handler in which it does
//     so knows where it was interrupted;
//   - asleep in a library's or the kernel's call: left to who asks, who can see it undisturbed;
//   - running: its thread is asked by the signal of preemption to look at itself.
//
// Invariants
//   [look-1] One looks at a time. Claims are made by whose turn it is [visit-1].
//   [look-2] A record may be of a free slot, or be made into another goroutine: a dead one's on_cpu
//            or status says that it does not stand still, one that is being made is `idle` until it
//            runs, and zeroed memory has no id.
//   [look-3] m_samples::look_ns is what a thread that looks at itself is to count; it is set before
//            the signal. If it runs another goroutine by then it looks at that: one that runs on
//            the same P at nearly the same time. If it runs none, or the signal comes to nothing,
//            one look is lost; if it has no CPU, they count together when it has one.
//
// Not seen: goroutines that have no stack yet, and plain threads.
//
// Rejected: stopping the world for each look (100 us each time for all); all goroutines each time
// (the cost grows with their number).
#pragma once

#include <cstdint>

#include "os/preempt.hpp"
#include "sched/gmp/g.hpp"
#include "stack/cfi.hpp"

namespace gort::sched {

/// What is told of each. ns: the time that this look stands for, of all goroutines. None may block,
/// allocate, or take a lock but [obs-3]'s.
struct look_functions {
  /// It stands still until this returns. `what`: as goroutine_view has it.
  void (*standing)(g& it, g_status what, const stack::frame_state& from,
                   const stack::stack_bounds& bounds, std::int64_t ns) noexcept;
  /// Its thread sleeps, or has just woken up.
  void (*asleep)(g& it, const os::thread_handle& thread, const stack::stack_bounds& bounds,
                 std::int64_t ns) noexcept;
  /// On its own thread, in a signal's handler with that context.
  void (*running)(g& it, const void* context, std::int64_t ns) noexcept;
  /// It runs, and cannot be asked: asyncpreemptoff.
  void (*unseen)(g& it, std::int64_t ns) noexcept;
};

/// Looks at goroutines in `looks` slots, or in all if there are not more. period_ns: the time since
/// the last call. `random`: 64 bits of state, not 0. False: this system has no barrier for others,
/// so nobody can be looked at.
bool look_around(const look_functions& f, unsigned looks, std::int64_t period_ns,
                 std::uint64_t& random) noexcept;

/// In the handler of preemption, on the thread of `self`.
void look_at_self(g& self, const void* context) noexcept;

}  // namespace gort::sched
