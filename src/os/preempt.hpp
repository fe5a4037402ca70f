// What taking a processor away from a thread needs of Linux.
#pragma once

#include <cstddef>
#include <cstdint>

#include "os/own_memory.hpp"

namespace gort::os {

/// How other threads refer to the calling one. Aligned as an atomic one is: clang goes by the type.
struct alignas(8) thread_handle {
  int id = 0;
  int cpu_clock = 0;
};
thread_handle this_thread() noexcept;

/// False: it has ended, for good.
bool thread_exists(const thread_handle& thread) noexcept;

/// CPU time that a thread has consumed; -1 if it is gone.
std::int64_t thread_cpu_ns(const thread_handle& thread) noexcept;

/// blocked: asleep in the kernel, neither running nor waiting for a CPU. unknown: /proc is missing.
enum class thread_activity : std::uint8_t { runs, blocked, unknown };
thread_activity activity_of(const thread_handle& thread) noexcept;
/// Of one that is blocked: for a page of memory, in the middle of an instruction of its own. False,
/// too, where nobody can tell.
bool waits_for_page(const thread_handle& thread) noexcept;

/// Makes sure that what the caller has stored is seen by all that the thread will do in user code
/// from now on, and that what it has done so far is visible here. False: that cannot be had, as it
/// may be running, and the system has no barrier for others.
bool fence_thread(const thread_handle& thread) noexcept;
/// The same against every thread of the process.
bool fence_all_threads() noexcept;
/// fence_thread() reaches running threads too, and fence_all_threads() works.
bool fences_running_threads() noexcept;
/// How: "membarrier", "off-cpu" (only while the thread sleeps) or "none".
const char* thread_fence_kind() noexcept;

/// Gives the calling thread an alternate signal stack with a guard. False: no memory.
bool use_alternate_stack() noexcept;
/// What that has given the calling thread; empty: nothing.
memory_range own_alternate_stack() noexcept;
/// Frees that, and puts the one before it back unless somebody else has put another one in place.
/// On the thread's own stack.
void drop_alternate_stack() noexcept;

/// The signal that interrupts a computing thread: SIGURG, which is harmless to programs that know
/// nothing of it. f runs in the handler, on the alternate stack, errno saved. Signals sent by
/// others go to the handler that was there before. `context`: the handler's third argument.
void handle_preemption(void (*f)(const void* context) noexcept) noexcept;
bool handles_preemption() noexcept;
void interrupt_thread(const thread_handle& thread) noexcept;

}  // namespace gort::os
