// Giving back stack pages that long-parked goroutines do not use.
//
// Problem: a goroutine that once went deep and then waits, for hours perhaps, keeps every page it
// has touched. Below its saved stack pointer nothing is alive, so those pages can go. But it may be
// readied and run at any moment, and then it writes there; and the path that runs it, a switch,
// cannot afford a locked instruction for what happens once in a goroutine's life.
//
// So the two sides use a store and a load each, and the rare side pays for the barrier:
//
//      sysmon                                      who runs the goroutine (switch_to)
//      trim = claimed  (cas)                       on_cpu = 1
//      every thread executes a barrier             read trim
//      read on_cpu, status, since
//
// Not both can miss the other: if sysmon reads on_cpu == 0 after the barrier, the runner's store
// comes after its thread's barrier, and so does its load, which sees the claim. Then both go for
// the same word: sysmon by cas from `claimed` to `dropping`, the runner from `claimed` to `none`.
// The runner thus waits for others only while its own pages are being dropped.
//
// Invariants
//   [trim-1] Pages are dropped only while trim == dropping, by sysmon alone, below saved_sp.
//   [trim-2] Nobody runs a goroutine after setting on_cpu before trim is `none`.
//   [trim-3] Claims are sysmon's or a visitor's [visit-1]. sysmon reads records of slots that may
//            be free, or be made into another goroutine at the same moment. A claim on such a one
//            is harmless: the second look, after the barrier, compares the time since when it
//            waits, which is no younger goroutine's; and one that begins later runs first, which
//            takes the claim away. `trim` itself belongs to the slot: it is not constructed anew.
//   [trim-4] A round looks at 64 slots and drops the pages of at most 8.
//   [trim-5] A goroutine may have parked on a stack of the program's own (ucontext, Boost.Context).
//            Where that is says nothing about the slot, and what lies between the two belongs to
//            somebody else. Such a goroutine keeps its pages.
//
// Rejected: claiming by a cas on on_cpu (the runner loads it, then stores: a claim between the two
// is overwritten; to make it safe each switch needs a locked instruction); stopping the world;
// letting each goroutine do it when it is resumed (too late, the memory was held meanwhile).
#include "sched/stacks/stack_trim.hpp"

#include <gort/debug.hpp>

#include "base/env.hpp"
#include "base/sanitizer.hpp"
#include "os/clock.hpp"
#include "os/memory.hpp"
#include "os/preempt.hpp"
#include "os/resident.hpp"
#include "sched/gmp/peek.hpp"
#include "sched/gmp/proc.hpp"
#include "sched/stacks/stack_sample.hpp"
#include "sched/stacks/stack_size.hpp"

namespace gort::sched {

namespace {

constexpr int looks_per_round = 64;
constexpr std::size_t drops_per_round = 8;
constexpr std::size_t red_zone_bytes = 128;

detail::atomic<std::uint64_t> given_back_bytes;
detail::atomic<std::uint64_t> given_back_stacks;

detail::atomic<std::uint32_t> claims_taken;

// Everything here belongs to sysmon.
struct {
  stack::slot_cursor cursor;
  bool in_pass = false;
  std::int64_t pass_began_ns = 0;
  std::int64_t covered_ns = 0;  // who parked before this has been looked at
  std::int64_t active_ns = 0;   // when goroutines were last seen to run
} pass;

struct candidate {
  g* who;
  std::int64_t since_ns;
};

// How long a goroutine must have been parked; < 0: nothing is given back.
std::int64_t patience_ns() noexcept {
  return os::fences_running_threads() ? stack_patience_ns() : -1;
}

// Saved, and waiting since then. The acquire pairs with the release in finish_switch(): the context
// is complete.
bool is_parked_since(g& who, std::int64_t since_ns) noexcept {
  return peek_acquire(who.on_cpu) == on_cpu_nowhere &&
         peek_relaxed(who.status) == g_status::waiting &&
         peek_relaxed(who.waiting_since_ns) == since_ns;
}

GORT_LEFT_BY_SWITCH bool is_candidate(g& who, std::int64_t now_ns, candidate& out) noexcept {
  const std::int64_t since_ns = peek_relaxed(who.waiting_since_ns);
  if (since_ns == 0 || now_ns - since_ns < patience_ns() ||
      __atomic_load_n(&who.trimmed_since_ns, __ATOMIC_RELAXED) == since_ns ||
      !is_parked_since(who, since_ns))
    return false;
  out = {&who, since_ns};
  return true;
}

// [trim-1]
GORT_LEFT_BY_SWITCH void drop_unused(const os::page_map& pages, const candidate& what) noexcept {
  g& who = *what.who;
  char* low = who.stack_low + stack::guard_bytes(who.stack_class);
  __atomic_store_n(&who.trimmed_since_ns, what.since_ns, __ATOMIC_RELAXED);
  if (!is_within_stack(who, who.saved_sp)) return;  // [trim-5]
  char* high = os::page_of(static_cast<char*>(who.saved_sp) - red_zone_bytes);
  if (high <= low) return;
  const os::page_map::touched found = pages.scan(low, high);
  if (found.bytes == 0) return;
  remember_use(who);
  if (!os::give_back(found.lowest, static_cast<std::size_t>(high - found.lowest))) return;
  given_back_bytes.fetch_add_relaxed(found.bytes);  // statistics
  given_back_stacks.fetch_add_relaxed(1);
}

void drop_all(const candidate* candidates, std::size_t count) noexcept {
  if (!begin_claims()) return;  // they are looked at in the next pass
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t none = trim_none;
    // Acquire-release, as all that change it.
    candidates[i].who->trim.cas_acq_rel(none, trim_claimed);
  }
  const bool barrier = os::fence_all_threads();
  const os::page_map pages;
  for (std::size_t i = 0; i < count; ++i) {
    const candidate& each = candidates[i];
    drop_if_parked(
        each.who->trim, [&] { return barrier && is_parked_since(*each.who, each.since_ns); },
        [&] { drop_unused(pages, each); });
  }
  end_claims();
}

bool pass_is_due(std::int64_t now_ns, bool all_idle) noexcept {
  if (pass.covered_ns >= pass.active_ns) return false;  // nobody has parked since
  if (all_idle) return now_ns >= trim_deadline_ns();
  return now_ns - pass.pass_began_ns >= patience_ns() / 2;
}

}  // namespace

// Acquire pairs with the release: what the last one has left is seen.
bool begin_claims() noexcept { return claims_taken.exchange_acquire(1) == 0; }
void end_claims() noexcept { claims_taken.store_release(0); }

bool trim_some_stacks(std::int64_t now_ns, bool all_idle) noexcept {
  if (patience_ns() < 0) return false;
  if (!all_idle) pass.active_ns = now_ns;
  if (!pass.in_pass) {
    if (!pass_is_due(now_ns, all_idle)) return false;
    pass.in_pass = true;
    pass.pass_began_ns = now_ns;
  }
  candidate candidates[drops_per_round];
  std::size_t count = 0;
  for (int looks = 0; looks < looks_per_round && count < drops_per_round; ++looks) {
    unsigned size_class = 0;
    void* slot = stack::next_slot(pass.cursor, size_class);
    if (slot == nullptr) {
      pass.in_pass = false;
      pass.covered_ns = pass.pass_began_ns - patience_ns();
      break;
    }
    if (is_candidate(*record_of_slot(slot, size_class), now_ns, candidates[count])) ++count;
  }
  if (count != 0) {
    const std::int64_t began_ns = os::monotonic_ns();
    drop_all(candidates, count);
    const std::int64_t took_ns = os::monotonic_ns() - began_ns;
    sched.scavenge_ns.fetch_add_relaxed(static_cast<std::uint64_t>(took_ns));  // a statistic
  }
  return pass.in_pass;
}

std::int64_t trim_deadline_ns() noexcept {
  if (patience_ns() < 0 || pass.covered_ns >= pass.active_ns) return -1;
  const std::int64_t next_pass_ns = pass.pass_began_ns + patience_ns() / 2;
  const std::int64_t all_old_ns = pass.active_ns + patience_ns();
  return next_pass_ns > all_old_ns ? next_pass_ns : all_old_ns;
}

std::int64_t stack_patience_ns() noexcept {
  static const std::int64_t chosen = [] {
    constexpr int default_ms = 10'000;
    const std::int64_t ms = base::godebug("stackgiveback", default_ms);
    return ms > 0 ? ms * 1'000'000 : -1;
  }();
  return chosen;
}

debug::stack_counts read_trim_counts() noexcept {
  debug::stack_counts out;
  out.given_back_bytes = given_back_bytes.load_relaxed();
  out.given_back_stacks = given_back_stacks.load_relaxed();
  out.light_guards = os::light_guards();
  return out;
}

}  // namespace gort::sched
