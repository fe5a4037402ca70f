// Giving back the pages of stacks that nobody has.
//
// Problem: a burst of goroutines leaves its stacks behind, warm for the next one: a million of them
// hold 4.4 GiB. If no burst comes for some seconds the machine should have that back, without a
// goroutine ever paying for it.
//
// So sysmon asks each class of stacks, once in a period (half of stackgiveback: 5 s), how many of
// its free ones were not needed in it, not even for a moment. Those are surplus, and are given back
// some at a time, for a hundredth of one CPU's time: 100 000 in some 30 s. What remains is what the
// program needs again and again. After that sysmon sleeps: nothing is warm, so nothing is due.
//
// Invariants
//   [scavenge-1] The state below belongs to sysmon. free_os_memory() may run beside it; the classes
//                keep the two apart (`busy`).
//   [scavenge-2] Where the kernel keeps the pages (locked memory) each period is twice as long as
//                the one before it, so an idle process is left idle; memory may be unlocked, so
//                there is always a next one.
//   [scavenge-3] Where a sanitizer keeps its own state of a stack in that (its fiber, its poison),
//                nothing is given back.
//
// Rejected: when a slot is released (each burst would pay for faults, and two system calls for each
// end); a thread for it (sysmon has the time).
#include "sched/stacks/stack_scavenge.hpp"

#include <algorithm>

#include <gort/debug.hpp>

#include "base/sanitizer.hpp"
#include "os/clock.hpp"
#include "os/thread.hpp"
#include "sched/gmp/proc.hpp"
#include "sched/stacks/stack_trim.hpp"
#include "stack/slots.hpp"

namespace gort::sched {

constinit detail::atomic<void (*)() noexcept> free_more_memory;

namespace {

constexpr std::size_t at_once = 16;
constexpr std::int64_t share = 128;  // of a CPU's time one part; the wake-up is not in it

constexpr bool possible = !base::with_tsan && !base::with_asan;

detail::atomic<std::uint64_t> scavenged_bytes;
detail::atomic<std::uint64_t> scavenged_stacks;

// [scavenge-1]
struct {
  std::size_t due[stack::size_class_count] = {};
  bool any_due = false;
  unsigned refusals = 0;            // since something was given back [scavenge-2]
  std::int64_t period_ends_ns = 0;  // 0: none has begun
  std::int64_t not_before_ns = 0;
} state;

void count(const stack::cooled& what) noexcept {
  scavenged_bytes.fetch_add_relaxed(what.bytes);  // statistics
  scavenged_stacks.fetch_add_relaxed(what.stacks);
}

bool is_on() noexcept { return possible && stack_patience_ns() > 0; }

void end_period(std::int64_t now_ns) noexcept {
  constexpr unsigned doublings_max = 16;  // of 5 s: four days
  state.period_ends_ns =
      now_ns + (stack_patience_ns() / 2 << std::min(state.refusals, doublings_max));
  for (unsigned i = 0; i < stack::size_class_count; ++i) {
    state.due[i] = stack::surplus(i);
    state.any_due = state.any_due || state.due[i] != 0;
  }
}

void give_back_some_due() noexcept {
  state.any_due = false;
  bool tried = false;
  for (unsigned i = 0; i < stack::size_class_count; ++i) {
    if (state.due[i] == 0) continue;
    if (!tried) {
      tried = true;
      const std::size_t wanted = std::min(state.due[i], at_once);
      const stack::cooled done = stack::give_back_free(i, wanted);
      count(done);
      if (done.how == stack::cooled::how::refused) ++state.refusals;
      if (done.how == stack::cooled::how::done) state.refusals = 0;
      state.due[i] = done.how == stack::cooled::how::done ? state.due[i] - wanted : 0;
    }
    state.any_due = state.any_due || state.due[i] != 0;
  }
}

}  // namespace

void scavenge_some_stacks(std::int64_t now_ns) noexcept {
  if (!is_on()) return;
  if (now_ns >= state.period_ends_ns) end_period(now_ns);
  if (!state.any_due || now_ns < state.not_before_ns) return;
  give_back_some_due();
  const std::int64_t took_ns = os::monotonic_ns() - now_ns;
  state.not_before_ns = now_ns + share * took_ns;
  sched.scavenge_ns.fetch_add_relaxed(static_cast<std::uint64_t>(took_ns));  // a statistic
}

std::int64_t scavenge_deadline_ns() noexcept {
  if (!is_on()) return -1;
  if (state.any_due) return state.not_before_ns;
  return stack::warm_count() != 0 ? state.period_ends_ns : -1;
}

}  // namespace gort::sched

namespace gort::debug {

void free_os_memory() noexcept {
  // Acquire pairs with the release in src/gc/scavenger.cpp.
  if (auto* const more = sched::free_more_memory.load_acquire(); more != nullptr) more();
  if constexpr (!sched::possible) return;
  for (unsigned i = 0; i < stack::size_class_count; ++i) {
    for (unsigned round = 0;; ++round) {
      const stack::cooled done = stack::give_back_free(i, sched::at_once);
      sched::count(done);
      if (done.how == stack::cooled::how::busy)
        os::give_way(round);
      else if (done.how != stack::cooled::how::done)
        break;
    }
  }
}

stack_counts read_stack_counts() noexcept {
  stack_counts out = sched::read_trim_counts();
  out.stacks = stack::slot_count();
  out.free_warm_stacks = stack::warm_count();
  out.scavenged_bytes = sched::scavenged_bytes.load_relaxed();
  out.scavenged_stacks = sched::scavenged_stacks.load_relaxed();
  return out;
}

}  // namespace gort::debug
