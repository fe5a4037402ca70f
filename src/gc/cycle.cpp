// The collector's thread, and what those pay who allocate too fast for it. When it works:
// pacer.hpp.
//
// A cycle: begin_marking(); the table of roots, the stacks, what is due to end; all that these
// reach; then what is dead is known, and swept. Nothing of it stops anybody.
//
// Who gets slots while marking is behind what is handed out helps with it for up to 100 us; who
// finds nothing to help with, and is beyond a line of the pacer's, sleeps so long, in place, or
// until the cycle has ended (pacer.hpp); both again for a millisecond at most, or some. That bounds
// what is allocated until a cycle has begun, and during it; nobody waits longer for its end. Ps
// that have nothing to run mark in their spare time (marking.cpp).
//
// While a cycle is under way there is one thread more than Ps, and those who allocate fall behind
// and compute without a rest: a slice of 10 ms each, of less than a CPU. So who gets slots then
// lets those go first whose timer is due, or who are queued at its P, and for as long afterwards as
// it has lasted, while they catch up; and the collector has long slices, so that the system lets
// whoever wakes up run before it.
//
// Invariants; [cycle-1] and [cycle-3] are those of requests.hpp.
//   [cycle-2] The thread is made at the first need. It has no P, is never a goroutine's, and lasts.
//
// Rejected: the collector as goroutines with a quarter of the Ps (Go): the next step, when marking
// is parallel. It is one thread now, besides GOMAXPROCS.
#include <algorithm>
#include <system_error>
#include <utility>

#include <gort/detail/inside.hpp>
#include <gort/detail/managed_check.hpp>
#include <gort/detail/park.hpp>
#include <gort/detail/spin_lock.hpp>
#include <gort/runtime.hpp>

#include "arch/thread_word.hpp"
#include "gc/collector.hpp"
#include "gc/control.hpp"
#include "gc/endings_pace.hpp"
#include "gc/pacer.hpp"
#include "gc/pressure.hpp"
#include "gc/quiet.hpp"
#include "gc/sampling.hpp"
#include "gc/scavenger.hpp"
#include "gc/statistics.hpp"
#include "os/affinity.hpp"
#include "os/clock.hpp"
#include "os/preempt.hpp"
#include "os/slices.hpp"
#include "os/thread.hpp"
#include "sched/gmp/g.hpp"
#include "sched/gmp/peek.hpp"
#include "sched/gmp/proc.hpp"
#include "sched/taking/hand_off.hpp"
#include "sched/threads/helper.hpp"
#include "sched/world/world.hpp"

namespace gort::managed {

constinit cycle_requests asked;

namespace {

// Guarded by the lock of `asked`.
struct {
  detail::waiter_list waiting;
  std::uint32_t forced = 0;     // by the program, the last
  bool this_is_forced = false;  // the one that has begun; the collector's
} those_who_asked;

detail::atomic<os::thread_handle> collector;  // written once

// Until when those who allocate are behind, by the last cycle; 0: they are not.
detail::atomic<std::int64_t> behind_until_ns;

enum : std::uint32_t { no_thread, thread_is_made, thread_works };
detail::atomic<std::uint32_t> thread_state{no_thread};

void collector_main();

// In one allocation. Where there are more Ps than CPUs, who runs waits so many times as long for
// one; and the collector's thread, one among all of them, would fall behind without end else.
detail::atomic<std::int64_t> heed_ns_max{1'000'000};
void set_heed() noexcept {
  constexpr std::int64_t heed_ns = 1'000'000;
  constexpr int times_max = 8;
  const int times = sched::proc_count() / std::max(1, os::cpus_allowed());
  heed_ns_max.store_relaxed(heed_ns * std::clamp(times, 1, times_max));
}

void run_cycle(bool for_quiet) noexcept {
  const std::int64_t begin_cpu_ns = os::own_thread_cpu_ns();
  set_heed();
  cycle_log log;
  log.code = reinterpret_cast<const void*>(collector_main);
  log.begin(asked.begun.load_relaxed(), those_who_asked.this_is_forced, heap_goal());
  cycle_begins();
  begin_marking();
  mark_endings();
  mark_roots();
  call_around();
  mark_stacks();
  finish_marking(weak_pointers_end);
  const std::size_t at_end = marking_has_ended();
  log.marking_ended();
  forget_free_spans();
  verify_marks();
  find_hidden_pointers();
  find_the_dead();
  trace_frees();
  const std::size_t live = sweep_all(sweep_cycle());
  if (for_quiet) now.quiet_found.store_relaxed(live);
  cycle_has_ended({.found = live,
                   .handed_out_before = at_end,
                   .cpu_ns = os::own_thread_cpu_ns() - begin_cpu_ns,
                   .was_due = !for_quiet && !those_who_asked.this_is_forced});
  log.end(live);
  const std::int64_t ended_ns = os::monotonic_ns();
  behind_until_ns.store_relaxed(ended_ns + (ended_ns - log.began_ns));
  start_endings();
}

// Those that are due; with the lock they are taken off, without it woken.
void wake_waiters() noexcept {
  detail::waiter_list due;
  {
    detail::spin_guard guard(asked.lock);
    const std::uint32_t done = asked.done.load_relaxed();
    for (detail::waiter* each = those_who_asked.waiting.head; each != nullptr;) {
      detail::waiter* next = each->next;
      if (static_cast<std::int32_t>(each->index - done) <= 0) {
        those_who_asked.waiting.remove(each);
        due.push_back(each);
      }
      each = next;
    }
  }
  while (detail::waiter* each = due.pop_front()) detail::ready(each->owner);
  os::futex_wake(asked.done.address(), 1 << 30);
}

bool begin_if_wanted() noexcept {
  return asked.begin_if_wanted([](std::uint32_t number) {
    those_who_asked.this_is_forced = those_who_asked.forced == number;
  });
}

void wake_collector() noexcept { os::futex_wake(asked.bell.address(), 1); }
void want_told() noexcept {
  // It may end what somebody waits for: until collector_main() is through with it.
  sched::expect_wakes_from_outside(true);
  wake_collector();
}
void want(std::uint32_t number) noexcept { asked.want(number, want_told); }
void ring() noexcept { asked.ring(wake_collector); }

// Of two points of time; -1: none.
std::int64_t sooner(std::int64_t a_ns, std::int64_t b_ns) noexcept {
  return a_ns < 0 || b_ns < 0 ? std::max(a_ns, b_ns) : std::min(a_ns, b_ns);
}

// After a cycle, and when it was asked for.
void look_around() noexcept {
  give_back_over_limit();
  tell_of_pressure();
  watch_malloc();
}

quiet_watch quiet;  // the collector's

// Whether to collect because it is, and when to look again; -1: not before it rings.
quiet_watch::verdict look_whether_quiet(std::int64_t now_ns) noexcept {
  if (gc_percent() < 0) return {};
  return quiet.look({.now_ns = now_ns,
                     .found = now.found.load_relaxed(),
                     .quiet_found = now.quiet_found.load_relaxed(),
                     .handed_out = now.handed_out.load_relaxed(),
                     .ended = now.ended.load_relaxed()});
}

std::int64_t give_back_some(std::int64_t now_ns) noexcept {
  const bool for_quiet = all_free_is_going();
  const std::int64_t before_ns = for_quiet ? os::own_thread_cpu_ns() : 0;
  const std::int64_t again_ns = scavenge_some(now_ns);
  if (for_quiet) quiet.charge(now_ns, os::own_thread_cpu_ns() - before_ns);
  return again_ns;
}

// Idle: it gives pages back by and by, and looks whether the heap is quiet; then it sleeps for
// good, or until a cycle is due that comes every two minutes.
void collector_main() {
  constexpr std::int64_t forced_ns = 120'000'000'000;
  std::int64_t ended_ns = os::monotonic_ns();  // the last cycle
  bool for_quiet = false;
  os::set_long_slices();
  collector.store_relaxed(os::this_thread());
  for (;;) {
    const std::uint32_t seen = asked.note_bell();
    if (begin_if_wanted()) {
      const std::int64_t begin_cpu_ns = read_collecting_cpu().total_ns();
      run_cycle(for_quiet);
      asked.end();
      wake_waiters();
      look_around();
      scavenging_is_due();
      ended_ns = os::monotonic_ns();
      if (std::exchange(for_quiet, false)) {
        quiet.charge(ended_ns, read_collecting_cpu().total_ns() - begin_cpu_ns);
        all_free_is_to_go();
      }
      sched::expect_wakes_from_outside(false);
      (void)give_back_some(ended_ns);
      continue;
    }
    // Acquire-release, as in ask_for_look() [cycle-3].
    if (asked.look.exchange_acq_rel(0) != 0) {
      look_at_other_memory();
      collect_if_due();
      look_around();
      continue;
    }
    const std::int64_t now_ns = os::monotonic_ns();
    std::int64_t until_ns = give_back_some(now_ns);
    const quiet_watch::verdict seen_quiet = look_whether_quiet(now_ns);
    if (seen_quiet.collect) {
      for_quiet = true;
      want(asked.begun.load_relaxed() + 1);
      continue;
    }
    until_ns = sooner(until_ns, seen_quiet.again_ns);
    if (now.handed_out.load_relaxed() != 0 && gc_percent() >= 0) {
      if (now_ns >= ended_ns + forced_ns) {
        want(asked.begun.load_relaxed() + 1);
        continue;
      }
      until_ns = sooner(until_ns, ended_ns + forced_ns);
    }
    (void)os::futex_wait(asked.bell.address(), seen, until_ns);
  }
}

// Blocks the thread for as long as it takes to make one; where it is.
// 0 or an errno value: without a thread there is no collection, and the next need tries again. Who
// goes on to wait for a cycle must not take somebody's attempt for a thread: it may fail.
enum class others : std::uint8_t { are_relied_on, are_waited_for };
int ensure_thread(others attempts) noexcept {
  for (unsigned round = 0;; os::give_way(round++)) {
    const detail::inside_gort inside;  // or others might wait for long for what becomes of it
    // Acquire pairs with the release below.
    if (thread_state.load_acquire() == thread_works) return 0;
    std::uint32_t none = no_thread;
    if (thread_state.cas_acq_rel(none, thread_is_made)) {
      const int error = sched::start_helper(collector_main, "gort-gc");
      thread_state.store_release(error == 0 ? thread_works : no_thread);
      return error;
    }
    if (attempts == others::are_relied_on) return 0;
  }
}

void ask_if_first(std::size_t used) noexcept {
  asked.ask_if_first([used] { return is_first_to_ask(used); }, want_told);
}

// Until the cycle that is under way has ended, 100 us at most. `done`: read before the lines were,
// so that it has changed if they have.
void rest(std::uint32_t done) noexcept {
  constexpr std::int64_t rest_ns = 100'000;
  (void)os::futex_wait(asked.done.address(), done, os::monotonic_ns() + rest_ns);
}

// How often it is to be done again: for each quantum of what was handed out, and for how far that
// is beyond where one sleeps.
std::size_t heed_lines(std::size_t used, std::size_t bytes) noexcept {
  // Acquire: the lines are read after it, see rest().
  const std::uint32_t done = asked.done.load_acquire();
  const pace_lines lines = lines_for(used);
  if (lines.watch && ensure_thread(others::are_relied_on) == 0) ring();
  if (used < lines.trigger) return 0;
  ask_if_first(used);
  if (ensure_thread(others::are_relied_on) != 0) return 0;
  const bool is_beyond = used >= lines.helps_from;
  const bool rests = is_beyond && !help_marking() && used >= lines.sleeps_from;
  sched::give_way_to_due();
  if (rests) rest(done);
  constexpr std::size_t quantum = 256 << 10;
  return is_beyond ? bytes / quantum + (rests ? (used - lines.sleeps_from) / lines.once_more : 0)
                   : 0;
}

bool are_endings_behind(std::size_t used, std::int64_t now_ns) noexcept {
  // Records of goroutines stay, whatever becomes of them [stack-3].
  auto* who = static_cast<detail::g*>(const_cast<void*>(detail::gc_endings_run_on.load_relaxed()));
  return ends.is_behind(
      {.used = used,
       .runs = counted.destructors_run.load_relaxed() + counted.finalizers_run.load_relaxed() +
               counted.cleanups_run.load_relaxed(),
       .is_parked = who != nullptr && sched::peek_relaxed(who->reason) != detail::wait_reason::none,
       .now_ns = now_ns});
}

// Who runs them waits for nobody; and may wait for this P.
void let_endings_catch_up(std::size_t used) noexcept {
  if (detail::gc_endings_run_on.load_relaxed() == arch::load_current_g()) return;
  std::int64_t now_ns = os::monotonic_ns();
  for (const std::int64_t until_ns = now_ns + heed_ns_max.load_relaxed();
       now_ns < until_ns && are_endings_behind(used, now_ns); now_ns = os::monotonic_ns()) {
    sched::give_way_to_others();
    if (are_endings_behind(used, os::monotonic_ns())) rest(asked.done.load_relaxed());
  }
}

}  // namespace

std::uint32_t cycles_begun() noexcept { return asked.begun.load_relaxed(); }
std::uint32_t cycles_ended() noexcept { return asked.done.load_relaxed(); }

collecting_cpu read_collecting_cpu() noexcept {
  const os::thread_handle thread = collector.load_relaxed();
  return {thread.id == 0 ? 0 : os::thread_cpu_ns(thread), helped_ns(), spare_ns()};
}

void collect_soon() noexcept {
  want(asked.begun.load_relaxed() + 1);
  (void)ensure_thread(others::are_relied_on);
}

int have_collector() noexcept { return ensure_thread(others::are_waited_for); }

void ask_for_look() noexcept {
  // Acquire pairs with the release in ensure_thread().
  if (thread_state.load_acquire() != thread_works) return;
  asked.look.exchange_acq_rel(1);  // [cycle-3]
  ring();
}

void account(std::size_t bytes) noexcept {
  std::size_t used;
  const bool is_due = hand_out(bytes, used);
  if (ends.may_be_behind()) [[unlikely]]
    let_endings_catch_up(used);
  if (!is_due) [[likely]] {
    const std::int64_t until_ns = behind_until_ns.load_relaxed();
    if (until_ns != 0) [[unlikely]] {
      if (os::monotonic_ns() >= until_ns) behind_until_ns.store_relaxed(0);
      sched::give_way_to_due();
    }
    return;
  }
  const std::int64_t until_ns = os::monotonic_ns() + heed_ns_max.load_relaxed();
  for (std::size_t i = 0; heed_lines(used, bytes) > i && os::monotonic_ns() < until_ns; ++i)
    used = bytes_in_use();
}

void collect_in_place() noexcept {
  const std::uint32_t number = [] {
    detail::spin_guard guard(asked.lock);
    return asked.begun.load_relaxed() + 1;
  }();
  want(number);
  if (ensure_thread(others::are_waited_for) != 0) return;
  for (;;) {
    const std::uint32_t done = asked.done.load_acquire();  // pairs with who has waited before
    if (static_cast<std::int32_t>(done - number) >= 0) return;
    const sched::sleep_in_park marked;
    os::futex_wait(asked.done.address(), done, -1);
  }
}

}  // namespace gort::managed

namespace gort::runtime {

void gc() {
  using namespace managed;
  if (const int error = ensure_thread(others::are_waited_for); error != 0)
    throw std::system_error(error, std::generic_category(), "gort: a thread for the collector");
  detail::waiter self;
  self.owner = detail::current_g();
  sched::expect_wakes_from_outside(true);
  {
    detail::spin_guard guard(asked.lock);
    self.index = asked.begun.load_relaxed() + 1;
    those_who_asked.forced = self.index;
    those_who_asked.waiting.push_back(&self);
  }
  want(self.index);
  detail::park(detail::wait_reason::gc_cycle);
  sched::expect_wakes_from_outside(false);
}

}  // namespace gort::runtime
