// The collector's thread, and when it works: Go's goal, and what those pay who allocate too fast.
//
//      in use = what the last marking found + what was handed out since
//      goal   = found + found * GOGC / 100, 4 MiB * GOGC / 100 at least
//      a cycle begins when so much is in use that, if as much is handed out during it as during the
//      last one, and a quarter more, the goal is met; between 45/64 and 61/64 of the way to it.
//
// A cycle: begin_marking(); the table of roots, the stacks, what is due to end; all that these
// reach; then what is dead is known, and swept. Nothing of it stops anybody.
//
// Who gets slots beyond the goal helps marking for up to 100 us; who finds nothing to help with,
// while a quarter more than the goal is in use, sleeps so long, in place. That bounds what is
// allocated during a cycle, and nobody waits for its end.
//
// Invariants
//   [cycle-1] `wanted`, `begun` and `done` are numbers of cycles, under `lock` (atomic for readers
//             without it). Who waits for a cycle wants number begun + 1, which begins later.
//   [cycle-2] The thread is made at the first need. It has no P, is never a goroutine's, and lasts.
//
// Rejected: the collector as goroutines with a quarter of the Ps (Go): the next step, when marking
// is parallel. It is one thread now, besides GOMAXPROCS.
#include <algorithm>
#include <system_error>

#include <gort/debug.hpp>
#include <gort/detail/park.hpp>
#include <gort/detail/spin_lock.hpp>
#include <gort/runtime.hpp>

#include "base/env.hpp"
#include "gc/collector.hpp"
#include "os/clock.hpp"
#include "os/thread.hpp"
#include "sched/threads/helper.hpp"

namespace gort::managed {

namespace {

struct pace {
  detail::atomic<std::size_t> found;       // bytes the last marking found
  detail::atomic<std::size_t> handed_out;  // since
  detail::atomic<std::size_t> trigger;     // of what is in use; max: never
  detail::atomic<std::size_t> goal;
  detail::atomic<std::int32_t> percent;
  std::size_t in_last_cycle = 0;  // handed out; the collector's
};
pace now;

struct requests {
  detail::spin_lock lock;
  detail::atomic<std::uint32_t> wanted;
  detail::atomic<std::uint32_t> begun;
  detail::atomic<std::uint32_t> done;
  detail::waiter_list waiting;
  detail::atomic<std::uint32_t> bell;  // a futex: something is wanted
};
requests asked;

enum : std::uint32_t { no_thread, thread_is_made, thread_works };
detail::atomic<std::uint32_t> thread_state{no_thread};

constexpr std::size_t never = ~std::size_t{0};

void set_pace() noexcept {
  const std::int32_t percent = now.percent.load_relaxed();
  if (percent < 0) {
    now.goal.store_relaxed(never);
    now.trigger.store_relaxed(never);
    return;
  }
  constexpr std::size_t least = std::size_t{4} << 20;
  const auto factor = static_cast<std::size_t>(percent);
  const std::size_t found = now.found.load_relaxed();
  const std::size_t goal = std::max(found + found / 100 * factor, least * factor / 100);
  const std::size_t way = goal - std::min(found, goal);
  const std::size_t runway = now.in_last_cycle + now.in_last_cycle / 4;
  const std::size_t early = way / 64 * 45;
  const std::size_t late = way / 64 * 61;
  const std::size_t after = way > runway ? way - runway : 0;
  now.goal.store_relaxed(goal);
  now.trigger.store_relaxed(found + std::clamp(after, early, late));
}

// GOGC, at the first look.
bool read_environment() noexcept {
  static const bool done = [] {
    const int percent = base::env_gc_percent();
    now.percent.store_relaxed(percent == 0 ? 100 : percent);
    set_pace();
    return true;
  }();
  return done;
}

void run_cycle() noexcept {
  const std::size_t before = now.handed_out.load_relaxed();
  begin_marking();
  mark_endings();
  mark_roots();
  mark_stacks();
  finish_marking(weak_pointers_end);
  const std::size_t at_end = now.handed_out.load_relaxed();
  forget_free_spans();
  verify_marks();
  find_the_dead();
  const std::uint32_t cycle = sweep_cycle();
  std::size_t live = 0;
  for_each_span([&](span& each) { live += sweep_span(each, cycle).live_bytes; });
  now.in_last_cycle = now.handed_out.load_relaxed() - before;
  now.found.store_relaxed(live);
  now.handed_out.fetch_sub_relaxed(at_end);
  set_pace();
  start_endings();
}

// Those that are due; with the lock they are taken off, without it woken.
void wake_waiters() noexcept {
  detail::waiter_list due;
  {
    detail::spin_guard guard(asked.lock);
    const std::uint32_t done = asked.done.load_relaxed();
    for (detail::waiter* each = asked.waiting.head; each != nullptr;) {
      detail::waiter* next = each->next;
      if (static_cast<std::int32_t>(each->index - done) <= 0) {
        asked.waiting.remove(each);
        due.push_back(each);
      }
      each = next;
    }
  }
  while (detail::waiter* each = due.pop_front()) detail::ready(each->owner);
  os::futex_wake(asked.done.address(), 1 << 30);
}

bool begin_if_wanted() noexcept {
  detail::spin_guard guard(asked.lock);
  const std::uint32_t begun = asked.begun.load_relaxed();
  if (static_cast<std::int32_t>(asked.wanted.load_relaxed() - begun) <= 0) return false;
  asked.begun.store_relaxed(begun + 1);
  return true;
}

void want(std::uint32_t number) noexcept {
  {
    detail::spin_guard guard(asked.lock);
    if (static_cast<std::int32_t>(number - asked.wanted.load_relaxed()) <= 0) return;
    asked.wanted.store_relaxed(number);
    asked.bell.store_relaxed(asked.bell.load_relaxed() + 1);
  }
  os::futex_wake(asked.bell.address(), 1);
}

// Idle: what was free for two seconds goes back to the system; then it sleeps for good, or until
// a cycle is due that comes every two minutes.
void collector_main() {
  constexpr std::int64_t rest_ns = 1'000'000'000;
  constexpr std::int64_t forced_ns = 120 * rest_ns;
  constexpr int rests = 4;
  int rested = 0;
  for (;;) {
    const std::uint32_t seen = asked.bell.load_acquire();  // pairs with the lock in want()
    if (begin_if_wanted()) {
      run_cycle();
      {
        detail::spin_guard guard(asked.lock);
        asked.done.store_relaxed(asked.begun.load_relaxed());
      }
      wake_waiters();
      rested = 0;
      continue;
    }
    const bool resting = rested < rests;
    const bool forced =
        !resting && now.handed_out.load_relaxed() != 0 && now.percent.load_relaxed() >= 0;
    const std::int64_t until_ns =
        resting || forced ? os::monotonic_ns() + (resting ? rest_ns : forced_ns) : -1;
    if (os::futex_wait(asked.bell.address(), seen, until_ns)) continue;
    if (resting) {
      ++rested;
      (void)scavenge(false);
    } else {
      want(asked.begun.load_relaxed() + 1);
    }
  }
}

// Blocks the thread for as long as it takes to make one; where it is.
// 0 or an errno value: without a thread there is no collection, and the next need tries again. Who
// goes on to wait for a cycle must not take somebody's attempt for a thread: it may fail.
enum class others : std::uint8_t { are_relied_on, are_waited_for };
int ensure_thread(others attempts) noexcept {
  for (;;) {
    // Acquire pairs with the release below.
    if (thread_state.load_acquire() == thread_works) return 0;
    std::uint32_t none = no_thread;
    if (thread_state.cas_acq_rel(none, thread_is_made)) break;
    if (attempts == others::are_relied_on) return 0;
    os::yield_thread();
  }
  const int error = sched::start_helper(collector_main, "gort-gc");
  thread_state.store_release(error == 0 ? thread_works : no_thread);
  return error;
}

}  // namespace

std::size_t bytes_in_use() noexcept {
  return now.found.load_relaxed() + now.handed_out.load_relaxed();
}

void account(std::size_t bytes) noexcept {
  read_environment();
  const std::size_t used =
      now.handed_out.fetch_add_relaxed(bytes) + bytes + now.found.load_relaxed();
  if (used < now.trigger.load_relaxed()) [[likely]]
    return;
  const std::uint32_t begun = asked.begun.load_relaxed();
  const bool runs = begun != asked.done.load_relaxed();
  if (!runs) {
    want(begun + 1);
    (void)ensure_thread(others::are_relied_on);
    return;
  }
  const std::size_t goal = now.goal.load_relaxed();
  if (used < goal || help_marking()) return;
  constexpr std::int64_t sleep_ns = 100'000;
  if (used >= goal + goal / 4) os::sleep_ns(sleep_ns);
}

void collect_in_place() noexcept {
  read_environment();
  const std::uint32_t number = [] {
    detail::spin_guard guard(asked.lock);
    return asked.begun.load_relaxed() + 1;
  }();
  want(number);
  if (ensure_thread(others::are_waited_for) != 0) return;
  for (;;) {
    const std::uint32_t done = asked.done.load_acquire();  // pairs with who has waited before
    if (static_cast<std::int32_t>(done - number) >= 0) return;
    os::futex_wait(asked.done.address(), done, -1);
  }
}

}  // namespace gort::managed

namespace gort::runtime {

void gc() {
  using namespace managed;
  read_environment();
  if (const int error = ensure_thread(others::are_waited_for); error != 0)
    throw std::system_error(error, std::generic_category(), "gort: a thread for the collector");
  detail::waiter self;
  self.owner = detail::current_g();
  sched::expect_wakes_from_outside(true);
  {
    detail::spin_guard guard(asked.lock);
    self.index = asked.begun.load_relaxed() + 1;
    asked.waiting.push_back(&self);
  }
  want(self.index);
  detail::park(detail::wait_reason::finalizer_wait);
  sched::expect_wakes_from_outside(false);
}

}  // namespace gort::runtime

namespace gort::debug {

int set_gc_percent(int percent) noexcept {
  using namespace managed;
  read_environment();
  const std::int32_t wanted = percent < 0 ? -1 : percent == 0 ? 100 : percent;
  const int before = now.percent.exchange_relaxed(wanted);
  set_pace();
  if (bytes_in_use() >= now.trigger.load_relaxed()) {
    want(asked.begun.load_relaxed() + 1);
    (void)ensure_thread(others::are_relied_on);
  }
  return before;
}

}  // namespace gort::debug
