// Threads beside those that run goroutines, made when they are needed.
#pragma once

#include <cstddef>

namespace gort::sched {

/// Starts a thread of the runtime's own that calls body(), which must not return. The starter makes
/// it: it has nothing of what a goroutine has done to its own thread. Starts the runtime. Blocks
/// the thread, not for long; a goroutine announces it. 0 or an errno value.
int start_helper(void (*body)(), const char* name) noexcept;

/// The same for a thread that ends when body(argument) does. It counts as the program's.
int start_passing_helper(void (*body)(void*), void* argument, const char* name,
                         std::size_t stack_bytes) noexcept;

/// Somebody who is not asleep in gort, and is none of its threads, may wake a goroutine at any time
/// (false: no more): no deadlock is reported meanwhile. Counts.
void expect_wakes_from_outside(bool more) noexcept;

/// For the starter: makes those that are asked for.
void make_helpers() noexcept;

}  // namespace gort::sched
