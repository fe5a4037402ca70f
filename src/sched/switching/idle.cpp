// Going to sleep without losing work, being woken. (Looking for work: search.cpp.)
//
// Problem: an idle process must not wake up at all, a busy one must use every P at once, and the
// common wake-up (a goroutine readied by one that is about to park) must not pay for a system call.
//
// An M that finds nothing gives its P back and sleeps: on its note or, one at a time, in the
// netpoller.
//
// Invariants
//   [idle-1] Submit to the global queue versus going idle:
//              submitter: push (under lock); read-modify-write `spinning`; if 0, wake an M.
//              spinner that found other work: read-modify-write `spinning` to one less; then look
//              at the global queue and, if it is not empty, wake an M.
//              spinner that goes idle: look at the global queue under lock.
//            The two read-modify-writes of one word are ordered, so either the submitter sees that
//            nobody spins, or the spinner sees the work.
//   [idle-2] An M that sleeps holds no P. Whoever wakes it has given it one, under the lock, before
//            the wake-up; an M woken by its own timeout tries to take one.
//   [idle-3] If an M goes to sleep while a P is idle and a timer exists, one sleeping M
//            (`timekeeper`) has a timeout no later than the earliest. While all Ps are busy nobody
//            keeps time: what could an M without a P do when it comes? (It would wake up again and
//            again for a timer that is overdue.) Their Ms look after timers, and sysmon.
//   [idle-4] An M that goes to sleep as one of more than GOMAXPROCS + 2 sleeps for 5 s (GODEBUG
//            mreap=ms; 0: for ever) and then ends, if there are as many still. The list is a stack:
//            those that sleep longest are the last to be woken, so all of the surplus goes, and
//            no M wakes up twice for it (unless the world is stopped). The timekeeper and the
//            poller stay.
//
// Rejected: waking an M for each readied G, as Go does (a futex call per hand-off: 2 us here
// against a switch of 15 ns). Instead sysmon notices goroutines that stay ready while a P is idle,
// and then turns on `eager_wake` for that P for a while.
#include <gort/detail/park.hpp>
#include <gort/runtime.hpp>

#include "base/sanitizer.hpp"
#include "os/clock.hpp"
#include "os/proc.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/seams.hpp"
#include "sched/switching/netpoll.hpp"
#include "sched/switching/schedule.hpp"

namespace gort::sched {

namespace {

// Written once, under sched.lock.
detail::atomic<const netpoller*> installed_poller;

}  // namespace

const netpoller* the_netpoller() noexcept {
  return installed_poller.load_acquire();  // pairs with the release in set_netpoller()
}

void set_netpoller(const netpoller& poller) noexcept {
  installed_poller.store_release(&poller);  // pairs with the acquire in the_netpoller()
}

bool network_is_watched() noexcept { return sched.poller.load_relaxed() != nullptr; }  // a hint

void queue_all(p& here, runnable_list& list) noexcept {
  // A few of a server's requests are answered before another M is awake (2 us and a CPU's search
  // for it: 7% of such a server's CPU time). If they take longer, sysmon notices.
  constexpr int few = 3;
  int count = 0;
  for (; runnable r = list.pop_front(); ++count) push_tail(here, r);
  if (count > few || (count != 0 && here.eager_wake.load_relaxed() != 0)) wake_if_idle();
}

void hold_locked(m& who, p& what) noexcept {
  detail::delay_point(detail::delay_at::give_p);
  what.status = p_status::running;
  what.holder.store_release(&who);  // pairs with the acquires in sysmon and preempt()
  who.held = &what;
  who.use(what);                                          // ordered by sched.lock
  what.tick.store_relaxed(what.tick.load_relaxed() + 1);  // for sysmon: somebody else's turn
  turns::change_holder(what);
}

p* pop_idle_p_locked() noexcept {
  p* found = sched.idle_ps;
  if (found != nullptr) {
    count_proc_time_locked();
    sched.idle_ps = found->idle_next;
    sched.idle_p_count.store_relaxed(sched.idle_p_count.load_relaxed() - 1);
  }
  return found;
}

void push_idle_p_locked(p& what) noexcept {
  what.status = p_status::idle;
  what.holder.store_relaxed(nullptr);
  what.idle_next = sched.idle_ps;
  count_proc_time_locked();
  sched.idle_ps = &what;
  sched.idle_p_count.store_relaxed(sched.idle_p_count.load_relaxed() + 1);
}

namespace {

void remove_idle_m_locked(m& who) noexcept {
  for (m** at = &sched.idle_ms; *at != nullptr; at = &(*at)->idle_next) {
    if (*at == &who) {
      *at = who.idle_next;
      --sched.idle_m_count;
      return;
    }
  }
}

}  // namespace

void wake_sysmon() noexcept {
  // Acquire-release: whoever takes the word from 1 to 0 owes the wake-up.
  if (sched.sysmon_asleep.load_relaxed() != 0 && sched.sysmon_asleep.exchange_acq_rel(0) != 0) {
    sched.coarse_now_ns.store_relaxed(os::monotonic_ns());  // nobody has kept it meanwhile
    sched.sysmon_note.wake();
  }
}

namespace {

// The caller has claimed a unit of `spinning` for the M that this wakes.
[[gnu::noinline]] void wake_slow() noexcept {
  wake_up sleeper;
  m* resumed = nullptr;
  bool wake_starter = false;
  bool possible;
  {
    detail::spin_guard guard(sched.lock);
    possible = sched.stop_requested.load_relaxed() == 0 && sched.idle_p_count.load_relaxed() != 0;
    if (possible && pop_idle_m_locked(sleeper) != nullptr) {
      hold_locked(*sleeper.who, *pop_idle_p_locked());
      sleeper.who->spinning = true;
    } else {
      sched.spinning.fetch_sub_acq_rel(1);  // [idle-1]
      // A new M looks at the global queue before it sleeps, as a spinning one does.
      wake_starter = possible && want_m_locked();
      if (possible && !wake_starter) resumed = resume_on_idle_p_locked();  // [threads-7]
    }
  }
  if (sleeper.who != nullptr) sleeper.now();
  if (wake_starter) wake_starter_thread();
  if (resumed != nullptr) resumed->wake_note.wake();
  if (possible) wake_sysmon();  // [sysmon-2], [threads-7]
}

}  // namespace

// Takes an idle P if there is one.
bool try_reacquire(m& here) noexcept {
  detail::spin_guard guard(sched.lock);
  if (sched.stop_requested.load_relaxed() != 0) return false;
  p* found = pop_idle_p_locked();
  if (found == nullptr) return false;
  take_up_locked(here, *found);
  return true;
}

m* pop_idle_m_locked(wake_up& how) noexcept {
  m* found = sched.idle_ms;
  if (found == nullptr) return nullptr;
  sched.idle_ms = found->idle_next;
  --sched.idle_m_count;
  if (sched.timekeeper == found) sched.timekeeper = nullptr;
  how.who = found;
  how.polling = sched.poller.load_relaxed() == found;
  if (how.polling) sched.poller.store_relaxed(nullptr);  // a hint to those without the lock
  return found;
}

void wake_up::now() const noexcept {
  who->wake_note.wake();
  if (polling) the_netpoller()->interrupt();  // [npoll-3]
}

namespace {

// More Ms asleep than could ever be wanted at once, but for a few [idle-4].
bool surplus_locked() noexcept {
  constexpr std::uint32_t spare = 2;
  return sched.idle_m_count > static_cast<std::uint32_t>(proc_count()) + spare;
}

// One night's sleep: on the note or in the poller. True: somebody has woken us (and given us a P);
// `found` is what the poller had to say.
bool sleep_once(m& here, const sleep_plan& plan, runnable_list& found) noexcept {
  if (!plan.polling) return here.wake_note.sleep(plan.deadline_ns);
  found = the_netpoller()->poll(plan.deadline_ns);
  record::add_elsewhere(record::counter::network_polls);
  record::add_elsewhere(record::counter::network_readied, found.size);
  return here.wake_note.try_consume();
}

}  // namespace

sleep_plan lie_down_locked(m& here) noexcept {
  sleep_plan plan;
  here.idle_next = sched.idle_ms;
  sched.idle_ms = &here;
  ++sched.idle_m_count;
  const std::int64_t when = earliest_timer();
  const bool stopped = sched.stop_requested.load_relaxed() != 0;
  if (when != detail::timer_heap::no_timer && !stopped && sched.idle_p_count.load_relaxed() != 0 &&
      (sched.timekeeper == nullptr || when < sched.timekeeper_when_ns)) {
    sched.timekeeper = &here;
    sched.timekeeper_when_ns = when;
    plan.deadline_ns = when;
  }
  const netpoller* poller = the_netpoller();
  if (poller != nullptr && poller->in_use() && network_is_watched() == false && !stopped) {
    sched.poller.store_relaxed(&here);  // read under this lock, or as a hint
    plan.polling = true;
  }
  if (plan.deadline_ns < 0 && !plan.polling && sched.reap_after_ns > 0 && surplus_locked()) {
    plan.deadline_ns = os::monotonic_ns() + sched.reap_after_ns;
    plan.reaped = true;
  }
  return plan;
}

void sleep_without_p(m& here) noexcept {
  sleep_plan plan;
  {
    detail::spin_guard guard(sched.lock);
    plan = lie_down_locked(here);
  }
  sleep_as_planned(here, plan);
}

void sleep_as_planned(m& here, sleep_plan plan) noexcept {
  constexpr std::int64_t soon_ns = 20'000;  // twice what a long search takes
  for (;;) {
    const std::int64_t asleep_ns = os::monotonic_ns();
    runnable_list found;
    seam::m_sleeps(here);
    bool handed_over = sleep_once(here, plan, found);
    seam::m_woke(here);
    const bool reaped = plan.reaped;
    if (!handed_over) {
      bool wake_is_coming = false;
      {
        detail::spin_guard guard(sched.lock);
        if (here.held != nullptr) {
          wake_is_coming = true;
        } else {
          const bool stopped = sched.stop_requested.load_relaxed() != 0;
          here.ends = reaped && !stopped && surplus_locked();  // [idle-4]
          remove_idle_m_locked(here);
          if (sched.timekeeper == &here) sched.timekeeper = nullptr;
          if (sched.poller.load_relaxed() == &here) sched.poller.store_relaxed(nullptr);
          p* free = stopped || reaped ? nullptr : pop_idle_p_locked();
          if (free != nullptr) hold_locked(here, *free);
        }
      }
      if (wake_is_coming) {  // we were given a P just as the sleep ended
        here.wake_note.sleep();
        handed_over = true;
      }
    }
    if (p* mine = here.held; mine != nullptr) {
      seam::p_started(here, *mine);
      if (handed_over) here.search_pays = os::monotonic_ns() - asleep_ns < soon_ns;
      queue_all(*mine, found);
      if (!handed_over) wake_sysmon();
      return;
    }
    if (here.ends) return;
    while (runnable r = found.pop_front()) submit_global(r);
    detail::spin_guard guard(sched.lock);
    plan = lie_down_locked(here);
  }
}

void wake_if_idle() noexcept {
  // Relaxed hints [proc-2].
  if (sched.idle_p_count.load_relaxed() == 0 || sched.spinning.load_relaxed() != 0) return;
  std::uint32_t none = 0;
  if (sched.spinning.cas_acq_rel(none, 1)) wake_slow();
}

void wake_for_global() noexcept {
  if (sched.idle_p_count.load_relaxed() == 0) return;  // ordered by the lock we have just held
  std::uint32_t none = 0;
  // A read-modify-write even when it fails to change anything would be wanted here; on failure the
  // acquire-release addition of zero provides it [idle-1].
  if (sched.spinning.cas_acq_rel(none, 1))
    wake_slow();
  else if (sched.spinning.fetch_add_acq_rel(0) == 0)
    wake_if_idle();
}

std::int64_t io_waits() noexcept {
  std::int64_t sum = sched.io_waits_elsewhere.load_relaxed();
  const int procs = sched.p_allocated.load_acquire();  // pairs with allocate_procs()
  for (int i = 0; i < procs; ++i) sum += sched.all_ps[i]->io_waits.load_relaxed();
  return sum;
}

}  // namespace gort::sched
