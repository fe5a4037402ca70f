// Looking for work: what an M does when the queues of its P are empty.
//
// It asks the netpoller, then searches: it steals from the others for a bounded time ("spinning"),
// then gives its P back and sleeps (idle.cpp), unless it is wanted in its spare time (spare.hpp).
// At most half as many Ms spin as Ps are busy.
//
// How long it searches: 10 us, which is what sleeping and being woken cost, if it was woken to
// search, or if that would have paid last time: another M has woken it within 20 us. Else 1 us. (A
// server's Ms mostly wait for the network, which no search can hurry: 4% of its CPU time.)
//
// The invariants of `spinning` are [idle-1] in idle.cpp.
#include <algorithm>

#include <gort/detail/park.hpp>
#include <gort/detail/random.hpp>

#include "arch/pause.hpp"
#include "os/clock.hpp"
#include "sched/gmp/current.hpp"
#include "sched/switching/netpoll.hpp"
#include "sched/switching/schedule.hpp"
#include "sched/switching/spare.hpp"

namespace gort::sched {

namespace {

// True: this M now counts as spinning.
bool begin_spinning(m& here) noexcept {
  if (here.spinning) return true;
  const auto procs = static_cast<std::uint32_t>(proc_count());
  const std::uint32_t busy = procs - sched.idle_p_count.load_relaxed();
  if (2 * sched.spinning.load_relaxed() >= busy) return false;  // a bound, not exact
  sched.spinning.fetch_add_acq_rel(1);
  here.spinning = true;
  return true;
}

void end_spinning(m& here) noexcept {
  if (!here.spinning) return;
  here.spinning = false;
  // Acquire-release pairs with wake_for_global() [idle-1].
  sched.spinning.fetch_sub_acq_rel(1);
  const p& mine = *here.held;
  if (mine.queue.size() != 0 || mine.nursery.size() != 0 || sched.global_size.load_relaxed() != 0)
    wake_if_idle();
}

bool has_own_work(const p& here) noexcept {
  return here.queue.size() != 0 || here.queue.has_next() || here.nursery.size() != 0;
}

runnable local_work(p& here) noexcept {
  if (runnable r = here.queue.take_next(); r != 0) return r;
  if (runnable r = here.queue.pop(); r != 0) return r;
  return here.nursery.pop_newest();
}

// One pass over the other Ps, starting at random. `last`: also take what a P keeps to run next, if
// the P has made no pick since the search began.
runnable steal_once(m& here, const std::uint32_t* ticks, int ticks_known, bool last) noexcept {
  p& mine = *here.held;
  const int procs = proc_count();
  int at = static_cast<int>(detail::fast_random() % static_cast<std::uint32_t>(procs));
  for (int n = 0; n < procs; ++n, at = at + 1 == procs ? 0 : at + 1) {
    p& victim = *sched.all_ps[at];
    if (&victim == &mine) continue;
    if (runnable r = victim.queue.steal_into(mine.queue); r != 0) return r;
    if (runnable r = victim.nursery.steal_into(mine.nursery); r != 0) return r;
    if (last && at < ticks_known && victim.tick.load_relaxed() == ticks[at]) {
      if (runnable r = victim.queue.steal_next(); r != 0) return r;
    }
    const std::int64_t when = victim.timers.next_when_ns.load_relaxed();
    if (when != detail::timer_heap::no_timer && run_timers(victim, os::monotonic_ns())) {
      if (runnable r = local_work(mine); r != 0) return r;
    }
  }
  return 0;
}

runnable steal(m& here, bool for_long) noexcept {
  constexpr int rounds_long = 24, rounds_short = 2, pauses_per_round = 16, ticks_max = 64;
  const int rounds = for_long ? rounds_long : rounds_short;
  std::uint32_t ticks[ticks_max];
  const int procs = proc_count();
  const int known = procs < ticks_max ? procs : ticks_max;
  for (int i = 0; i < known; ++i) ticks[i] = sched.all_ps[i]->tick.load_relaxed();
  for (int round = 0; round < rounds; ++round) {
    const bool last = round == rounds_long - 1;
    if (runnable r = steal_once(here, ticks, known, last); r != 0) return r;
    if (sched.stop_requested.load_relaxed() != 0 || sched.global_size.load_relaxed() != 0) return 0;
    for (int i = 0; i < pauses_per_round; ++i) arch::pause();
  }
  here.search_pays = false;  // until sleep_without_p() knows better
  return 0;
}

bool any_queue_has_work() noexcept {
  const int procs = proc_count();
  for (int i = 0; i < procs; ++i) {
    if (sched.all_ps[i]->queue.size() != 0 || sched.all_ps[i]->nursery.size() != 0) return true;
  }
  return false;
}

// Nobody waits in the poller: what has become ready meanwhile is ours to find.
runnable poll_network(p& here) noexcept {
  const netpoller* poller = the_netpoller();
  if (poller == nullptr || !poller->in_use() || network_is_watched()) return 0;
  runnable_list found = poller->poll(0);
  here.recorded.add(record::counter::network_polls);
  here.recorded.add(record::counter::network_readied, found.size);
  const runnable first = found.pop_front();
  queue_all(here, found);
  return first;
}

}  // namespace

constinit detail::atomic<spare_work> spare;

bool spare_time_is_over() noexcept {
  const p& mine = *current_m()->held;
  // Relaxed hints, all: who finds them old is late by one look.
  if (sched.stop_requested.load_relaxed() != 0 || sched.global_size.load_relaxed() != 0 ||
      mine.attention.load_relaxed() != 0 || has_own_work(mine))
    return true;
  const int procs = proc_count();
  for (int i = 0; i < procs; ++i) {
    if (sched.all_ps[i]->queue.size() > 1 || sched.all_ps[i]->nursery.size() > 1) return true;
  }
  return false;
}

[[gnu::noinline]] bool use_spare_time(m& here) noexcept {
  constexpr std::int64_t slice_ns = 100'000;
  // Acquire pairs with the release of who wrote it: what it works on is there.
  const spare_work work = spare.load_acquire();
  if (work == nullptr) return false;
  if (here.spinning) {  // [spare-1]
    end_spinning(here);
    if (any_queue_has_work()) return true;
  }
  p& mine = *here.held;
  const std::int64_t now_ns = os::monotonic_ns();
  const std::int64_t until_ns = std::min(now_ns + slice_ns, earliest_timer());
  if (until_ns <= now_ns) return false;
  mine.tick.store_relaxed(mine.tick.load_relaxed() + 1);  // for sysmon: it is not stuck
  return work(until_ns);
}

namespace {

// Gives the P back and sleeps. Zero: look again (a P is held); else work to run.
runnable go_idle(m& here) noexcept {
  bool was_spinning;
  {
    detail::spin_guard guard(sched.lock);
    if (sched.stop_requested.load_relaxed() != 0) return 0;
    if (sched.global_size.load_relaxed() != 0) return 0;  // [proc-3]
    p& mine = *here.held;
    let_go_of_p_locked(here);
    push_idle_p_locked(mine);
    was_spinning = here.spinning;
    if (was_spinning) sched.spinning.fetch_sub_acq_rel(1);  // [idle-1]
    here.spinning = false;
  }
  detail::delay_point(detail::delay_at::idle);
  // While we counted as spinning, others may have relied on us to find what they pushed.
  if (was_spinning && any_queue_has_work() && try_reacquire(here)) return 0;
  sleep_without_p(here);
  return 0;
}

}  // namespace

runnable find_runnable(m& here) noexcept {
  for (;;) {
    if (here.ends) return 0;
    if (sched.stop_requested.load_relaxed() != 0) {  // looked at again under the lock
      if (here.spinning) {
        here.spinning = false;
        sched.spinning.fetch_sub_acq_rel(1);
      }
      stop_here(here);
      continue;
    }
    // Lost in user code, or a new M. Not `held`: while usable is null only the lock tells.
    if (here.p_on_entry() == nullptr) {
      find_p(here);
      continue;
    }
    p& mine = *here.held;
    runnable r = pick_turn(mine);
    // A stop was asked for just now. Who steals, or gives the P back, must have no work of its own.
    if (r == 0 && has_own_work(mine)) continue;
    if (r == 0) r = poll_network(mine);
    if (r == 0 && proc_count() > 1) {
      const bool for_long = here.spinning || here.search_pays;
      if (begin_spinning(here)) r = steal(here, for_long);
      if (r != 0) mine.recorded.add(record::counter::steals);
    }
    if (r == 0 && spare.load_relaxed() != nullptr && use_spare_time(here)) [[unlikely]]
      continue;
    if (r == 0) r = go_idle(here);
    if (r != 0) {
      end_spinning(here);
      return r;
    }
  }
}

}  // namespace gort::sched
