// G: a goroutine; also the pseudo-G of a plain thread, and g0, the context of an M's scheduler
// loop.
//
// A goroutine's g lies at the top of its stack slot, so an idle one touches a single page. One that
// has not run yet is a spawn_record (include/gort/detail/spawn.hpp). A run queue holds either as
// one word, `runnable`: the low bit says which.
//
// Invariants
//   [g-1] A G is in at most one place: running on an M, in one run queue, or parked.
//   [g-2] `on_cpu` is not 0 from before the G's context is loaded until after it is saved. It may
//         be found in a queue while still 1 [park-2]; whoever wants to run it waits for 0, for a
//         moment [half-1], and waits on its own g0, so that two Ms cannot wait for each other's
//         half-left goroutines. 2: only its own M can continue it [hand-2].
//   [g-3] All other fields belong to the M that runs the G; while it does not run, to whoever
//         dequeued it; `readied` and woken_at_ns to whoever readies it [seam-3]. Readers of other
//         goroutines' fields stop the world first; `status`, `reason` and `waiting_since_ns` are
//         atomic because they do so while plain threads go on.
//
// Rejected: releasing the wait list's lock on the other side of the switch (Go, Photon): it keeps
// the lock across the choice of the next G and puts an indirect call into every park.
#pragma once

#include <unwind.h>
#include <cstddef>
#include <cstdint>

#include <gort/detail/atomic.hpp>
#include <gort/detail/park.hpp>
#include <gort/detail/spawn.hpp>
#include <gort/detail/wait_reason.hpp>

#include "sched/gmp/inspect.hpp"
#include "sched/parts/note.hpp"

namespace gort::sched {
struct m;
struct local_values;

/// A g* or a spawn_record* with the low bit set; 0 is none.
using runnable = std::uintptr_t;

enum class g_kind : std::uint8_t { goroutine, thread, scheduler };
}  // namespace gort::sched

namespace gort::detail {

struct g {
  g() noexcept : trim{}, announced{} {}
  // In a slot that had another one, which sysmon may just be looking at: `trim` stays [trim-3],
  // and `announced`, which is 0 when a goroutine ends.
  struct in_used_slot {};
  explicit g(in_used_slot) noexcept {}

  sched::runnable link = 0;  // run-queue link, first as in spawn_record
  void* saved_sp = nullptr;
  atomic<std::uint32_t> on_cpu;
  sched::g_kind kind = sched::g_kind::goroutine;
  std::uint8_t stack_class = 0;
  atomic<wait_reason> reason;
  atomic<sched::g_status> status;  // [seam-2]
  atomic<std::uint8_t> readied;    // [seam-3]
  atomic<std::uint8_t> stamped;    // there is a latency_stamp [latency-1]
  atomic<std::uint8_t> is_leaked;  // as the last search has found it (src/report/leaks.cpp)
  union {
    atomic<std::uint32_t>
        trim;  // sysmon drops pages below saved_sp; src/sched/stacks/stack_trim.cpp
  };
  std::uint16_t measured_site = 0;  // its stack is measured: where (src/stack/usage.hpp); 0: not
  sched::m* m = nullptr;            // the M that runs it; null on a plain thread

  // The C++ runtime's per-thread exception state, kept here while the G does not run.
  void* caught_exceptions = nullptr;
  unsigned uncaught_exceptions = 0;
  int saved_errno = 0;

  // Here begins a cache line: a wait writes these two.
  atomic<std::int64_t> waiting_since_ns;
  atomic<const awaited*> awaits;  // with `reason`; null: the wait may end otherwise
  std::uint64_t id = 0;
  std::uint64_t parent_id = 0;
  const void* creation_pc = nullptr;
  char* stack_low = nullptr;  // the slot, guard included
  spawn_extra* extra = nullptr;
  sched::local_values* locals = nullptr;
  void* tsan_fiber = nullptr;
  void* asan_fake_stack = nullptr;
  std::int64_t trimmed_since_ns = 0;  // the waiting_since_ns of the park it was last trimmed in
  std::uint32_t random_state = 0;

  // For observers [obs-1]. Since when it is runnable, as told by itself, its thread or its
  // starter; when it was woken, as told by its waker, who may come before it has parked; and when
  // it blocked, as told by itself. record::event_ns().
  std::int64_t runnable_since_ns = 0;
  std::int64_t woken_at_ns = 0;
  std::int64_t blocked_at_ns = 0;
  atomic<std::uint64_t> latency_stamp;
  std::int64_t cpu_ns = 0;  // used in stretches that have ended (cpu_accounts.hpp)
  // The profiler's; a counted reference. Written by the goroutine itself, and read by handlers of
  // signals on its thread.
  atomic<label_set*> labels;

  // lock_os_thread() minus unlock_os_thread(); written by the G itself, read by dumps too.
  atomic<std::uint32_t> os_thread_locks;

  sched::note thread_note;             // pseudo-G: park() sleeps on it
  atomic<std::uint32_t> thread_state;  // pseudo-G: see src/sched/threads/thread_g.cpp
  union {
    atomic<std::uint32_t> announced;  // how deep in blocking(); written by the goroutine only
  };

  _Unwind_Exception goexit_exception;  // goexit() unwinds with it
};
static_assert(offsetof(g, link) == offsetof(spawn_record, link));

/// What the profiler has said of goroutines: immutable, shared, inherited by those they start. It
/// knows the rest of it. Who sets g::labels holds a reference; a goroutine that ends drops its own,
/// outside gort.
struct label_set {
  atomic<std::uint32_t> references;
  std::uint64_t content = 0;                       // a hash of the words, above 1
  void (*destroy)(label_set*) noexcept = nullptr;  // after the last reference is gone; may free
};

struct spawn_extra {
  std::size_t stack_bytes;
  char* name;  // owned, zero-terminated; null if none
};

}  // namespace gort::detail

namespace gort::sched {

using detail::g;
using detail::spawn_record;
using detail::wait_reason;

// The values of g::readied; from the last on: a trace was told, too.
constexpr std::uint8_t no_wake_up = 0, wake_up_untold = 1, wake_up_told = 2, wake_up_traced = 3;

// The values of g::on_cpu.
constexpr std::uint32_t on_cpu_nowhere = 0, on_cpu_here = 1, on_cpu_only_there = 2;

/// Started by the runtime for itself: neither counted nor shown, as in Go.
template <class Goroutine>
bool is_system(const Goroutine& x) noexcept {
  constexpr std::uint64_t main_id = 1;
  return x.creation_pc == nullptr && x.id != main_id;
}

inline runnable to_runnable(g* x) noexcept { return reinterpret_cast<runnable>(x); }
inline runnable to_runnable(spawn_record* x) noexcept { return reinterpret_cast<runnable>(x) | 1; }
inline bool is_unstarted(runnable r) noexcept { return (r & 1) != 0; }
inline g* as_g(runnable r) noexcept { return reinterpret_cast<g*>(r); }
inline spawn_record* as_record(runnable r) noexcept {
  return reinterpret_cast<spawn_record*>(r & ~runnable{1});
}
/// The link of either kind.
inline runnable& link_of(runnable r) noexcept {
  return *reinterpret_cast<runnable*>(r & ~runnable{1});
}

}  // namespace gort::sched
