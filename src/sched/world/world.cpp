// Stopping the world, and what is done to it then.
//
// Long file: how it is stopped and how it is started again are two halves of one protocol.
//
// The world is stopped when no P runs a goroutine and no stray computes. Idle Ps are taken out of
// circulation at once; a running P stops when its goroutine next parks, yields or ends, or by a
// signal where it computes. Uses: changing GOMAXPROCS, dumps of all stacks, the end (freeze.cpp).
//
// Invariants
//   [world-1] One stopper at a time (`busy`). A goroutine that wants to be the next parks, so its P
//             can stop.
//   [world-2] Between stop and start every P is `stopped`, except the one that the stopper holds.
//   [world-3] stop_waiting counts the Ps that have not stopped; guarded by sched.lock.
//   [world-4] A frozen world (freeze.cpp) is one that start_the_world() does not start: it may be
//             stopped again, looked at and resized.
//   [world-5] The turn is handed over to who waits for it. In a frozen world goroutines are not
//             handed it: they keep their places in the line, and plain threads pass them. (One
//             that has come from a call [freeze-3] may find it free, and take it.)
//   [world-6] An M that has stopped is in the list of sleeping ones in the same section: the start
//             finds it there, and asks for a thread only where there is none [threads-6].
#include <utility>

#include <gort/detail/park.hpp>

#include "os/clock.hpp"
#include "os/thread.hpp"
#include "record/pauses.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/fork.hpp"
#include "sched/gmp/seams.hpp"
#include "sched/switching/netpoll.hpp"
#include "sched/switching/schedule.hpp"
#include "sched/taking/hand_off.hpp"
#include "sched/taking/strays.hpp"
#include "sched/world/world.hpp"

namespace gort::sched {

void one_stopped_locked() noexcept {
  if (sched.stop_waiting > 0 && --sched.stop_waiting == 0) sched.stop_note.wake();
}

namespace {

// Whose turn it is to stop the world; [world-1].
struct turnstile {
  detail::spin_lock lock;
  detail::atomic<std::uint32_t> busy;  // guarded by lock; a hint to the deadlock check
  detail::waiter_list waiting;

  bool try_enter() noexcept {
    detail::spin_guard guard(lock);
    if (busy.load_relaxed() != 0) return false;
    busy.store_relaxed(1);
    return true;
  }

  void enter() noexcept {
    detail::waiter self;
    {
      detail::spin_guard guard(lock);
      if (busy.load_relaxed() == 0) return busy.store_relaxed(1);
      self.owner = detail::current_g();
      waiting.push_back(&self);
    }
    detail::park(wait_reason::semacquire);  // busy stays set: it is handed over
  }

  void exit() noexcept {
    g* next = nullptr;
    {
      detail::spin_guard guard(lock);
      // Written by who has the turn: us.
      const bool frozen = sched.still.load_relaxed() != still::no;
      detail::waiter* first = waiting.head;
      while (frozen && first != nullptr && detail::is_goroutine(*first->owner))
        first = first->next;  // [world-5]
      if (first != nullptr) {
        waiting.remove(first);
        next = first->owner;
      } else {
        busy.store_relaxed(0);
      }
    }
    if (next != nullptr) detail::ready_tail(next);
  }
} world_turn;

// How long threads in user code get before they are pressed again: at first, at most.
constexpr std::int64_t first_pause_ns = 50'000;
constexpr std::int64_t longest_pause_ns = 1'000'000;
// Who was asked just before the deadline is waited for. Counted: all may have stood still till
// then.
constexpr int late_rounds_max = 20;
// How long threads may go on that have been stopped already, when another needs a lock of theirs.
constexpr std::int64_t time_to_relent_ns = 1'000'000;

// The thread that waits in place for this P to start again gets it; its note must be woken. Null:
// there is none.
m* resume_stopped_locked(p& stopped) noexcept {
  m* parked = std::exchange(stopped.stopped_in_place, nullptr);
  if (parked == nullptr) return nullptr;
  parked->in_place = in_place::no;
  g& resumed = *parked->current.load_relaxed();
  resumed.on_cpu.store_relaxed(on_cpu_here);  // ordered by its note
  resumed.status.store_relaxed(g_status::running);
  hold_locked(*parked, stopped);
  return parked;
}

void wake_all(m* linked_by_idle_next) noexcept {
  while (linked_by_idle_next != nullptr) {
    m* next = linked_by_idle_next->idle_next;
    linked_by_idle_next->wake_note.wake();
    linked_by_idle_next = next;
  }
}

// All that were stopped in place go on, with their Ps, while the stop lasts.
void resume_all_stopped() noexcept {
  m* to_wake = nullptr;
  {
    detail::spin_guard guard(sched.lock);
    const int procs = proc_count();
    for (int i = 0; i < procs; ++i) {
      m* resumed = resume_stopped_locked(*sched.all_ps[i]);
      if (resumed == nullptr) continue;
      ++sched.stop_waiting;
      resumed->idle_next = to_wake;
      to_wake = resumed;
    }
    to_wake = resume_strays_locked(to_wake);
  }
  wake_all(to_wake);
}

}  // namespace

m* parked_in_place(std::size_t n) noexcept {
  detail::spin_guard guard(sched.lock);
  std::size_t count = 0;
  m* nth = nullptr;
  const auto each = [&](m* who) {
    if (count++ == n) nth = who;
  };
  const int procs = proc_count();
  for (int i = 0; i < procs; ++i) {
    if (m* who = sched.all_ps[i]->stopped_in_place; who != nullptr) each(who);
  }
  for (m* who = sched.in_place.head; who != nullptr; who = who->in_place_next) each(who);
  for (m* who = sched.strays; who != nullptr; who = who->stray_next) {
    if (who->in_place == in_place::stopped) each(who);
  }
  return nth;
}

void let_go(m& who) noexcept {
  {
    detail::spin_guard guard(sched.lock);
    if (who.in_place == in_place::no) return;  // a late M has resumed it meanwhile [note-1]
    sched.stop_in_place = false;  // a signal that is still on its way must not park it again
    if (who.in_place == in_place::listed) {
      take_in_place_locked(who);
      let_go_locked(who);
    } else if (who.stray) {
      who.in_place = in_place::no;
      who.current.load_relaxed()->on_cpu.store_relaxed(on_cpu_here);
    } else {
      for (int i = 0; i < proc_count(); ++i) {
        p& each = *sched.all_ps[i];
        if (each.stopped_in_place != &who) continue;
        resume_stopped_locked(each);
        each.attention.store_relaxed(attention_rare);
        ++sched.stop_waiting;
      }
    }
  }
  who.wake_note.wake();
}

namespace {

// [hand-6]: one of those parked in place may hold what somebody inside gort waits for. They go on
// for a moment, and are pressed again.
void relent() noexcept {
  resume_all_stopped();
  let_one_in_place_go(true);
}

// Threads in user code do not see the request: those that sleep in the kernel lose their P, those
// that compute are asked to park in place. False: one waits for a lock inside gort.
bool press_the_rest(bool signals) noexcept {
  bool all_can_stop = true;
  const int procs = proc_count();
  for (int i = 0; i < procs; ++i) {
    p& each = *sched.all_ps[i];
    const m* who;
    {
      detail::spin_guard guard(sched.lock);
      who = each.status == p_status::running ? each.holder.load_relaxed() : nullptr;
    }
    if (who == nullptr || who == current_m()) continue;
    const os::thread_handle thread = who->thread.load_relaxed();
    if (os::activity_of(thread) == os::thread_activity::blocked)
      all_can_stop = take_p_of_blocked(each) != taking::inside && all_can_stop;
    else if (signals)
      os::interrupt_thread(thread);
  }
  return all_can_stop;
}

}  // namespace

bool stop_all(std::int64_t deadline_ns, how_to_stop how) noexcept {
  if (sched.stop_requested.load_relaxed() == 0) seam::world_stops();  // by who has the turn: us
  const bool in_place = how != how_to_stop::at_gort;
  // At the end of the process there is no choice.
  const bool signals = in_place && (preemption_is_on() || how == how_to_stop::in_place_forever);
  {
    detail::spin_guard guard(sched.lock);
    const p* mine = own_p();
    sched.stop_requested.store_relaxed(1);  // read again under the lock by whoever acts on it
    sched.stop_in_place = signals;
    sched.stop_sleepers = how == how_to_stop::in_place_forever;
    sched.stop_waiting = 0;
    const int procs = proc_count();
    for (int i = 0; i < procs; ++i) {
      p& each = *sched.all_ps[i];
      if (&each == mine) continue;
      if (each.status == p_status::idle) {
        each.status = p_status::stopped;
      } else if (each.status == p_status::running) {  // else stopped already
        each.attention.store_relaxed(attention_rare);
        ++sched.stop_waiting;
      }
    }
    count_proc_time_locked();
    sched.idle_ps = nullptr;
    sched.idle_p_count.store_relaxed(0);
  }
  constexpr std::int64_t relent_after_ns = 10'000'000;
  std::int64_t stuck_since_ns = -1;
  std::int64_t pause_ns = first_pause_ns;
  int late_rounds = 0;
  for (;;) {
    {
      detail::spin_guard guard(sched.lock);
      const bool strays_rest = !sched.stop_in_place || strays_rest_locked();
      if (sched.stop_waiting == 0 && strays_rest) return record::world_stands();
    }
    if (late_rounds > late_rounds_max) return false;
    if (in_forked_child()) {  // nobody comes
      if (deadline_ns < 0) gort_used_in_forked_child();
      return false;
    }
    if (!in_place) {
      if (!sched.stop_note.sleep(deadline_ns)) return false;
      continue;
    }
    const bool all_can_stop = press_the_rest(signals);
    const std::int64_t now_ns = os::monotonic_ns();
    if (deadline_ns >= 0 && now_ns >= deadline_ns) ++late_rounds;
    if (all_can_stop || stuck_since_ns < 0) {
      stuck_since_ns = all_can_stop ? -1 : now_ns;
    } else if (late_rounds == 0 && now_ns - stuck_since_ns >= relent_after_ns) {
      relent();
      os::sleep_ns(time_to_relent_ns);
      stuck_since_ns = -1;
    }
    if (!sched.stop_note.sleep(now_ns + pause_ns))
      pause_ns = pause_ns * 2 < longest_pause_ns ? pause_ns * 2 : longest_pause_ns;
  }
}

void enter_world_turn() noexcept { world_turn.enter(); }
bool try_enter_world_turn() noexcept { return world_turn.try_enter(); }
void leave_world_turn() noexcept { world_turn.exit(); }
bool world_turn_is_taken() noexcept { return world_turn.busy.load_relaxed() != 0; }

bool stop_the_world(std::int64_t timeout_ns, record::world_reason why) noexcept {
  world_turn.enter();
  sched.stop_why = why;
  detail::enter_gort();  // until start_the_world(): the stopper must not be stopped
  record::pause_begins();
  return stop_all(timeout_ns < 0 ? -1 : os::monotonic_ns() + timeout_ns, how_to_stop::in_place);
}

// For dumps, which must come out even while somebody else waits in vain for the world to stop.
dump_stop stop_the_world_for_dump() noexcept {
  constexpr std::int64_t patience_ns = 1'000'000'000;
  constexpr std::int64_t step_ns = 1'000'000;
  for (std::int64_t waited_ns = 0; !world_turn.try_enter(); waited_ns += step_ns) {
    if (waited_ns >= patience_ns) return dump_stop::none;
    os::sleep_ns(step_ns);
  }
  detail::enter_gort();
  sched.stop_why = record::world_reason::all_goroutines;
  record::pause_begins();
  // A goroutine that computes on is shown without a stack; parked ones stay parked [world-2].
  return stop_all(os::monotonic_ns() + patience_ns, how_to_stop::in_place) ? dump_stop::whole
                                                                           : dump_stop::partial;
}

void start_the_world_after_dump() noexcept { start_the_world(); }

void let_user_code_go_after_dump() noexcept {
  if (sched.still.load_relaxed() == still::no) {  // we have the turn
    sched.still.store_relaxed(still::until_run);
    let_user_code_go();
  }
  start_the_world();
}

void stop_here(m& here) noexcept {
  sleep_plan plan;
  {
    detail::spin_guard guard(sched.lock);
    if (sched.stop_requested.load_relaxed() == 0) return;
    if (p* mine = here.held; mine != nullptr) {
      let_go_of_p_locked(here);
      mine->status = p_status::stopped;
      mine->holder.store_relaxed(nullptr);
      one_stopped_locked();
    }
    drop_stray_locked(here);
    has_come_locked(here);         // who starts the world has sysmon judge
    plan = lie_down_locked(here);  // [world-6]
  }
  sleep_as_planned(here, plan);
}

void start_the_world() noexcept {
  if (sched.still.load_relaxed() != still::no) {  // [world-4]
    press_those_at_bad_places();                  // who has come from a call meanwhile [freeze-3]
    world_turn.exit();
    wake_sysmon();  // it may not have judged meanwhile
    detail::exit_gort();
    return;
  }
  seam::world_goes_on();
  // Ps with work, and one more to look at the global queue and the timers, get an M each.
  m* to_wake = nullptr;
  bool missing = false;
  bool wake_starter;
  bool poller_among_them = false;
  {
    detail::spin_guard guard(sched.lock);
    sched.stop_requested.store_relaxed(0);
    sched.stop_waiting = 0;
    sched.timekeeper = nullptr;
    const int procs = proc_count();
    bool extra = true;
    for (int i = procs - 1; i >= 0; --i) {
      p& each = *sched.all_ps[i];
      if (each.status != p_status::stopped) continue;
      if (m* parked = resume_stopped_locked(each); parked != nullptr) {
        parked->idle_next = to_wake;
        to_wake = parked;
        continue;
      }
      const bool has_work =
          each.queue.size() != 0 || each.queue.has_next() || each.nursery.size() != 0;
      if (!has_work && !extra) {
        push_idle_p_locked(each);
        continue;
      }
      extra = extra && has_work;
      wake_up how;
      if (m* sleeper = pop_idle_m_locked(how); sleeper != nullptr) {
        poller_among_them = poller_among_them || how.polling;
        hold_locked(*sleeper, each);
        sleeper->idle_next = to_wake;
        to_wake = sleeper;
      } else {
        empty_queues_locked(each);  // an idle P has no work [proc-2]
        push_idle_p_locked(each);
        missing = true;
      }
    }
    to_wake = resume_strays_locked(to_wake);
    wake_starter = missing && want_m_locked();  // which asks for more, if it finds more
  }
  wake_all(to_wake);
  if (poller_among_them) the_netpoller()->interrupt();  // [npoll-3]
  if (wake_starter) wake_starter_thread();
  wake_sysmon();
  record::pause_ends();
  world_turn.exit();
  detail::exit_gort();
}

void set_proc_count(int count) noexcept {
  if (proc_count() == count) return;
  world_turn.enter();
  allocate_procs(count);
  sched.stop_why = record::world_reason::gomaxprocs;
  detail::enter_gort();  // until start_the_world()
  record::pause_begins();
  stop_all(-1, how_to_stop::in_place);
  if (proc_count() != count) {
    resize_procs(count);
    seam::procs_changed(count);
  }
  start_the_world();
}

}  // namespace gort::sched
