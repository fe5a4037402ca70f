// Goroutines as reports see them, and what the scheduler asks of the report room (which lies above
// it: declared here, defined there).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <gort/detail/wait_reason.hpp>

namespace gort::sched {

enum class g_status : std::uint8_t { idle, runnable, running, syscall, waiting, dead };

// Valid while the world is stopped, or for the calling goroutine.
struct goroutine_view {
  std::uint64_t id = 0;
  std::uint64_t parent_id = 0;        // 0: started by a plain thread
  const void* creation_pc = nullptr;  // return address of go(); null for main
  g_status status = g_status::idle;
  detail::wait_reason reason = detail::wait_reason::none;
  std::int64_t waiting_since_ns = 0;  // CLOCK_MONOTONIC; 0: unknown
  const void* saved_sp = nullptr;     // as gort_switch left it; null: running, or never started
  const void* stack_low = nullptr;
  const void* stack_high = nullptr;
  const void* entry_pc = nullptr;  // of one that has not started
  std::string_view name;
  bool is_current = false;
  bool from_fault = false;  // saved_sp leads through the frame of a signal to what it interrupted
};

/// Calls f for every goroutine, those not yet started included.
void for_each_goroutine(void (*f)(const goroutine_view&, void*), void* argument) noexcept;

/// The calling goroutine; id 0 on a plain thread.
goroutine_view current_goroutine() noexcept;

/// What a fault of the running code at `address` is: an overflow if it hit the guard of the running
/// goroutine's own stack, with the stack pointer at its end too. A wild pointer into a guard, this
/// one or another, is not. For signal handlers.
struct overflow_verdict {
  bool is_one = false;
  std::size_t limit_bytes = 0;  // as configured
};
overflow_verdict judge_fault(const void* address, const void* sp) noexcept;

/// The running code is inside gort: its locks may be held, so the world cannot be stopped.
bool current_is_inside() noexcept;

/// Stops the world for a dump, waiting a second at most; goroutines that compute on are then shown
/// as running. False: somebody else is stopping it; parked goroutines may move. True:
/// start_the_world_after_dump() must follow.
bool stop_the_world_for_dump() noexcept;
void start_the_world_after_dump() noexcept;
/// Instead, before the process ends: only what was stopped in user code goes on, until it reaches
/// gort, for it may hold malloc's lock or another that the report needs.
void let_user_code_go_after_dump() noexcept;

/// Measures the stacks of those living goroutines that are being measured (src/stack/usage.hpp);
/// stops the world.
void measure_living_stacks() noexcept;
/// What frames can have of a stack of that class.
std::size_t usable_stack_bytes(unsigned size_class) noexcept;

/// No run() is in progress after one has ended: goroutines stand still.
bool frozen_after_run() noexcept;

// Defined in src/report.

/// Signal handlers, terminate handler; at the start of the runtime. Returns how many threads it
/// has started for its own use.
int install_reports() noexcept;

/// Prints `before` (whole lines), "fatal error: text", a blank line and the goroutines; exits with
/// that status.
[[noreturn]] void report_fatal(const char* text, const char* before = "", int status = 2) noexcept;

}  // namespace gort::sched
