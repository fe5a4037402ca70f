// Goroutines as reports see them, and what the scheduler asks of the report room (which lies above
// it: declared here, defined there).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <gort/detail/atomic.hpp>
#include <gort/detail/wait_reason.hpp>

#include "os/preempt.hpp"

namespace gort::detail {
struct g;
struct label_set;
}  // namespace gort::detail

namespace gort::sched {

enum class g_status : std::uint8_t { idle, runnable, running, syscall, waiting, dead };

// Valid while the world is stopped, or for the calling goroutine.
struct goroutine_view {
  std::uint64_t id = 0;
  std::uint64_t parent_id = 0;        // 0: started by a plain thread
  const void* creation_pc = nullptr;  // return address of go(); null for main
  g_status status = g_status::idle;
  detail::wait_reason reason = detail::wait_reason::none;
  std::int64_t waiting_since_ns = 0;  // CLOCK_MONOTONIC; 0: unknown. Or since when in a call
  const void* saved_sp = nullptr;     // as the switch has left it; null: running, or never started
  const void* stack_low = nullptr;
  const void* stack_high = nullptr;
  std::size_t guard_bytes = 0;     // from stack_low on, where nothing can be read
  os::thread_handle thread;        // that runs it, or sleeps in a call of it; id 0: none
  int m_index = -1;                // the M of that thread
  const void* entry_pc = nullptr;  // of one that has not started
  std::string_view name;           // valid during the call that shows it
  detail::atomic<detail::label_set*>* labels = nullptr;  // labels_of_view()
  detail::label_set* labels_before_start = nullptr;      // of one that has not started
  bool is_current = false;
  bool is_locked = false;   // to its thread
  bool is_leaked = false;   // as the last search has found it, and it waits still
  bool in_handler = false;  // saved_sp leads through the frame of a signal to what it interrupted
};

/// One that does not run on.
goroutine_view view_of_parked(const detail::g& parked) noexcept;
/// One that was left by a switch and is being looked at. Who is to run it next may have said so
/// already, and waits: where it is is not asked again [visit-4].
goroutine_view view_of_claimed(const detail::g& parked) noexcept;

/// How far the world was stopped for a dump.
enum class dump_stop : std::uint8_t {
  none,     // somebody else is at it: all may move
  partial,  // somebody computes on; whoever was parked or queued stays so
  whole,
};

/// Calls f for every goroutine, those not yet started included as for_each_unstarted() can.
void for_each_goroutine(void (*f)(const goroutine_view&, void*), void* argument,
                        dump_stop stopped) noexcept;
/// Calls f for those that have no stack yet. They are in queues, in records that are soon used
/// again. So if the world is not stopped as a whole, only some of those in queues that have a lock
/// are shown; returns how many of those are not. system_too: the runtime's own as well.
std::size_t for_each_unstarted(void (*f)(const goroutine_view&, void*), void* argument,
                               dump_stop stopped, bool system_too = false) noexcept;
/// Calls f for that one, if it is the record of a goroutine that is not the runtime's own.
void show_started(const detail::g& each, void (*f)(const goroutine_view&, void*),
                  void* argument) noexcept;

/// Its labels, with a reference that the caller has then; null: none. Not after the call that shows
/// it, unless it is the calling goroutine's.
detail::label_set* labels_of_view(const goroutine_view& view) noexcept;

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
/// as running. Unless it was not stopped at all, start_the_world_after_dump() must follow.
dump_stop stop_the_world_for_dump() noexcept;
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

/// Another thread prints a panic or a fatal error: the process is about to end.
bool report_is_under_way() noexcept;

/// sysmon, at each look: prints what GODEBUG=schedtrace asks for, if it is time. Returns when it
/// will be (CLOCK_MONOTONIC); -1: it is not asked for. scheddetail=1 stops the world.
std::int64_t print_sched_trace(std::int64_t now_ns) noexcept;

/// sysmon, at each look: prints new circles of mutexes if GODEBUG=deadlockcheck=1 asks for it, once
/// a second; stops the world where some have waited for that long. Returns as print_sched_trace().
std::int64_t check_mutex_cycles(std::int64_t now_ns) noexcept;

/// sysmon, at each look: the static probes are on while somebody is attached to any of them.
void follow_static_probes() noexcept;

/// One that is parked in place may hold a lock of malloc or of another part of the C library.
bool may_hold_library_locks(const goroutine_view& parked) noexcept;

/// Prints `before` (whole lines), "fatal error: text", a blank line and the goroutines; exits with
/// that status.
[[noreturn]] void report_fatal(const char* text, const char* before = "", int status = 2) noexcept;

}  // namespace gort::sched
