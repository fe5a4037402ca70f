// A signal for each so many nanoseconds of CPU time of each thread of the process: SIGPROF.
//
// Problem: a profiler wants to look at whatever uses CPU time: threads of ours, threads that gort
// knows nothing of, threads that start later. The timer of the whole process sends its signal to
// some thread, not to the one that ran. And the program may use SIGPROF itself, or have left it at
// its default, which ends the process.
//
// So each thread has a timer on its own CPU clock that signals that very thread. Threads of ours
// make theirs when they start; the others are looked for in /proc (find_new_threads).
//
// Invariants
//   [timers-1] A signal of ours carries a mark, and no other one does. All others go to the handler
//              that was there before, with all that it asked for.
//   [timers-2] After stop_cpu_timers() no signal of ours can come: the timers are gone first; then
//              the signal is ignored for a moment, which makes the system forget those that wait to
//              be taken by a thread that blocks them; then the old handler is put back. (A signal
//              of the program's own that waits then is forgotten, too.) A handler that has begun
//              may go on, and read what it needs, while the next profile begins.
//   [timers-3] A timer belongs to who takes it out of the table, which is one exchange: its maker,
//              who finds that the profile has ended meanwhile, or who ends it.
//   [timers-4] A timer lives as long as its thread, or until a look into /proc finds that gone:
//              numbers of threads are used again, but not that quickly.
//
// The kernel looks at CPU clocks once per tick: more than CONFIG_HZ signals a second (250, mostly)
// do not come; what is left out is told with the next one.
#pragma once

#include <cstdint>

#include <gort/detail/atomic.hpp>

namespace gort::os {

/// How many periods have passed that no signal was sent for; and the handler's third argument.
using cpu_timer_function = void (*)(std::uint32_t missed, const void* context) noexcept;

/// Calls f in a handler that no other one interrupts, on the alternate stack where there is one,
/// errno saved. 0 or an errno value: ENOENT where there is no /proc, EAGAIN or EPERM where the
/// system refuses the calling thread its timer. Not at the same time as stop_cpu_timers().
int start_cpu_timers(std::int64_t period_ns, cpu_timer_function f) noexcept;
void stop_cpu_timers() noexcept;

/// Gives a timer to threads that have none, and takes those away whose thread is gone. A few system
/// calls, if there are as many threads as the last time and `thorough` is false. 0 or an errno
/// value: then there are some that have none, as there are where the system refuses them (and 0).
int find_new_threads(bool thorough) noexcept;

extern detail::atomic<bool> cpu_timers_run;  // a hint
int make_own_cpu_timer() noexcept;           // 0 or an errno value

/// A thread's beginning, or its first use of gort.
inline void sample_this_thread() noexcept {
  if (cpu_timers_run.load_relaxed()) [[unlikely]]
    (void)make_own_cpu_timer();
}

}  // namespace gort::os
