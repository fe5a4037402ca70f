// Threads and futexes as the kernel gives them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gort::os {

/// Starts a detached thread that has `stack_bytes` besides what the C library keeps there. It takes
/// only signals that it raises itself, until it says otherwise (os/signals.hpp): the handler of
/// another one might block. Returns 0 or an errno value; EAGAIN after a second of it only.
int start_thread(void (*body)(void*), void* argument, const char* name,
                 std::size_t stack_bytes) noexcept;

void yield_thread() noexcept;
/// For loops that wait for a few instructions of another thread; `round` counts from 0. Yields at
/// first, then sleeps: a thread with a real-time priority that yields does not let one without go
/// on, which may be the one that it waits for.
void give_way(unsigned round) noexcept;
/// From now on it calls f instead: no other thread is there, and f does not return.
void give_way_to_nobody(void (*f)() noexcept) noexcept;

/// The kernel's number of the calling thread.
int thread_id() noexcept;

struct stack_range {
  void* low;
  std::size_t bytes;
};
/// The calling thread's own stack; {nullptr, 0} if the system cannot tell.
stack_range thread_stack() noexcept;

/// Sleeps while *word == expected. timeout: CLOCK_MONOTONIC deadline in ns, or < 0 for none.
/// Returns false when the deadline has passed. These leave errno alone.
bool futex_wait(std::uint32_t* word, std::uint32_t expected, std::int64_t deadline_ns) noexcept;
void futex_wake(std::uint32_t* word, int how_many) noexcept;

/// Sleeps about `duration_ns`; for the monitor thread only.
void sleep_ns(std::int64_t duration_ns) noexcept;

/// Lets timed waits of this thread end on time rather than up to 50 us late.
void set_precise_timers() noexcept;
/// Of the calling thread; returns what it was. 0: back to the thread's default.
unsigned exchange_timer_slack_ns(unsigned wanted_ns) noexcept;
/// What threads have that have not asked for precise timers; 0: unknown.
unsigned usual_timer_slack_ns() noexcept;

}  // namespace gort::os
