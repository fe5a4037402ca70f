// Spare time: what a P may do for the process when it has no goroutine to run, before it sleeps.
// Marking is done in it (src/gc/marking.cpp).
//
// Problem: some work has no goroutine, is there for a time, and should use the CPUs that goroutines
// leave; but whoever becomes runnable, a timer, the network, a stop of the world must find the P as
// if it slept, or better.
//
// Invariants
//   [spare-1] It is asked for by an M with a P, on g0, that has found nothing: inside gort, and not
//             spinning any more: it has gone through the steps of [idle-1] for one that has found
//             work. So whoever has relied on its search has been seen to.
//   [spare-2] A slice ends after 100 us, when the next timer of any P is due, and within some 10 us
//             of when spare_time_is_over() turns true: the world is to be stopped, something was
//             submitted for all, or more than one goroutine waits for a P. Then the M looks for
//             work as ever: its own timers, the network if nobody waits for that, others' queues.
//   [spare-3] That P counts as busy: no timekeeper need be there for it [idle-3], and there is no
//             deadlock meanwhile. When there is no more to do it goes idle, and all is as before.
//   [spare-4] Nobody need come: who asks for it must do without, and look again. An M is woken for
//             it by wake_if_idle(), like for any work.
//
// Who never asks for it pays for a look at a word in each search that comes to nothing.
#pragma once

#include <cstdint>

#include <gort/detail/atomic.hpp>

namespace gort::sched {

struct m;

/// Works for no longer than that, and no longer than spare_time_is_over() is false. False: there is
/// nothing to do.
using spare_work = bool (*)(std::int64_t until_ns) noexcept;

/// Null: there is none. Written by who has the work; one that was read a moment ago may still be
/// called.
extern detail::atomic<spare_work> spare;

/// In spare_work: somebody has a better use for this P. Some loads for each P.
bool spare_time_is_over() noexcept;

/// g0, holding a P. True: look for work again.
bool use_spare_time(m& here) noexcept;

}  // namespace gort::sched
