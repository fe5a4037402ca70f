// Goroutines that are locked to a thread, and threads that become Ms and cease to be.
#pragma once

#include "sched/gmp/proc.hpp"

namespace gort::sched {

// src/sched/threads/lock_thread.cpp
/// Runs the main goroutine on the calling thread and nowhere else [lock-4]. Returns when it has
/// ended, or has left the thread after unlocking.
void run_on_this_thread(g& pseudo, spawn_record* main) noexcept;

// src/sched/threads/threads.cpp
/// A record without a thread.
m* make_m() noexcept;
/// Inside gort: the calling thread becomes an M without a P; its g0 runs.
void become_m(m& here) noexcept;
/// On g0, once scheduler_loop() has returned: the P goes to others, the thread is a plain one.
void leave_scheduler(m& here) noexcept;

}  // namespace gort::sched
