// Stopping the world, and what is done to it then.
//
// The world is stopped when no P runs a goroutine and no stray computes. Idle Ps are taken out of
// circulation at once; a running P stops when its goroutine next parks, yields or ends, or by a
// signal where it computes. Uses: changing GOMAXPROCS, dumps of all stacks, the end of the program.
//
// Invariants
//   [world-1] One stopper at a time (`busy`). A goroutine that wants to be the next parks, so its P
//             can stop.
//   [world-2] Between stop and start every P is `stopped`, except the stopper's own, which it
//             holds.
//   [world-3] stop_waiting counts the Ps that have not stopped; guarded by sched.lock.
//   [world-4] A frozen world (between two run()s, at exit) is one that start_the_world() does not
//             start: it may be stopped again, looked at and resized, until it is thawed. Goroutines
//             that a freeze did not wait for go on until they reach gort. `frozen` is written by
//             who has the turn.
#include <utility>

#include <gort/detail/park.hpp>

#include "os/clock.hpp"
#include "os/thread.hpp"
#include "sched/current.hpp"
#include "sched/hand_off.hpp"
#include "sched/netpoll.hpp"
#include "sched/schedule.hpp"
#include "sched/strays.hpp"

namespace gort::sched {

namespace {

// Whose turn it is to stop the world; [world-1].
struct turnstile {
  detail::spin_lock lock;
  bool busy = false;
  detail::waiter_list waiting;

  bool try_enter() noexcept {
    detail::spin_guard guard(lock);
    if (busy) return false;
    busy = true;
    return true;
  }

  void enter() noexcept {
    detail::waiter self;
    {
      detail::spin_guard guard(lock);
      if (!busy) {
        busy = true;
        return;
      }
      self.owner = detail::current_g();
      waiting.push_back(&self);
    }
    detail::park(wait_reason::semacquire);  // busy stays set: it is handed over
  }

  void exit() noexcept {
    g* next = nullptr;
    {
      detail::spin_guard guard(lock);
      if (detail::waiter* first = waiting.pop_front(); first != nullptr)
        next = first->owner;
      else
        busy = false;
    }
    if (next != nullptr) detail::ready_tail(next);
  }
} world_turn;

detail::atomic<std::uint32_t> frozen;

// How long threads in user code get before they are pressed again: at first, at most.
constexpr std::int64_t first_pause_ns = 50'000;
constexpr std::int64_t longest_pause_ns = 1'000'000;
// How long threads may go on that have been stopped already, when another needs a lock of theirs.
constexpr std::int64_t time_to_relent_ns = 1'000'000;

}  // namespace

void one_stopped_locked() noexcept {
  if (sched.stop_waiting > 0 && --sched.stop_waiting == 0) sched.stop_note.wake();
}

namespace {

// The thread that waits in place for this P to start again gets it; its note must be woken. Null:
// there is none.
m* resume_stopped_locked(p& stopped) noexcept {
  m* parked = std::exchange(stopped.stopped_in_place, nullptr);
  if (parked == nullptr) return nullptr;
  parked->in_place = in_place::no;
  parked->current->on_cpu.store_relaxed(on_cpu_here);  // ordered by its note
  parked->current->status.store_relaxed(g_status::running);
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

void let_all_in_place_go() noexcept {
  while (let_one_in_place_go()) {
  }
}

// [hand-6]: one of those parked in place may hold what somebody inside gort waits for. They go on
// for a moment, and are pressed again.
void relent() noexcept {
  resume_all_stopped();
  let_one_in_place_go();
}

// Threads in user code do not see the request: those that sleep in the kernel lose their P, those
// that compute are asked to park in place. False: one waits for a lock inside gort.
bool press_the_rest() noexcept {
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
    if (os::activity_of(who->thread.load_relaxed()) != os::thread_activity::blocked)
      preempt(each, each.tick.load_relaxed());  // not compared when the world is being stopped
    else if (take_p_of_blocked(each) == taking::inside)
      all_can_stop = false;
  }
  return all_can_stop;
}

// Has the turn. in_place: threads may be parked where they are.
bool stop_all(std::int64_t timeout_ns, bool in_place) noexcept {
  const std::int64_t deadline_ns = timeout_ns < 0 ? -1 : os::monotonic_ns() + timeout_ns;
  {
    detail::spin_guard guard(sched.lock);
    const p* mine = own_p();
    sched.stop_requested.store_relaxed(1);  // read again under the lock by whoever acts on it
    sched.stop_in_place = in_place && preemption_is_on();
    sched.stop_waiting = 0;
    const int procs = proc_count();
    for (int i = 0; i < procs; ++i) {
      p& each = *sched.all_ps[i];
      if (&each == mine) continue;
      if (each.status == p_status::idle) {
        each.status = p_status::stopped;
      } else if (each.status == p_status::running) {  // else frozen [world-4]
        each.attention.store_relaxed(1);
        ++sched.stop_waiting;
      }
    }
    sched.idle_ps = nullptr;
    sched.idle_p_count.store_relaxed(0);
  }
  constexpr std::int64_t relent_after_ns = 10'000'000;
  std::int64_t stuck_since_ns = -1;
  std::int64_t pause_ns = first_pause_ns;
  for (;;) {
    {
      detail::spin_guard guard(sched.lock);
      const bool strays_rest = !sched.stop_in_place || strays_rest_locked();
      if (sched.stop_waiting == 0 && strays_rest) return true;
    }
    if (!in_place) {
      if (!sched.stop_note.sleep(deadline_ns)) return false;
      continue;
    }
    const bool all_can_stop = press_the_rest();
    const std::int64_t now_ns = os::monotonic_ns();
    if (deadline_ns >= 0 && now_ns >= deadline_ns) return false;
    if (all_can_stop) {
      stuck_since_ns = -1;
    } else if (stuck_since_ns < 0) {
      stuck_since_ns = now_ns;
    } else if (now_ns - stuck_since_ns >= relent_after_ns) {
      relent();
      os::sleep_ns(time_to_relent_ns);
      stuck_since_ns = -1;
    }
    if (!sched.stop_note.sleep(now_ns + pause_ns))
      pause_ns = pause_ns * 2 < longest_pause_ns ? pause_ns * 2 : longest_pause_ns;
  }
}

}  // namespace

bool stop_the_world(std::int64_t timeout_ns) noexcept {
  world_turn.enter();
  detail::enter_gort();  // until start_the_world(): the stopper must not be stopped
  return stop_all(timeout_ns, true);
}

// For dumps, which must come out even while somebody else waits in vain for the world to stop.
bool stop_the_world_for_dump() noexcept {
  constexpr std::int64_t patience_ns = 1'000'000'000;
  constexpr std::int64_t step_ns = 1'000'000;
  for (std::int64_t waited_ns = 0; !world_turn.try_enter(); waited_ns += step_ns) {
    if (waited_ns >= patience_ns) return false;
    os::sleep_ns(step_ns);
  }
  detail::enter_gort();
  stop_all(patience_ns, true);
  // A goroutine that computes on is shown without a stack; parked ones stay parked [world-2].
  return true;
}

void start_the_world_after_dump() noexcept { start_the_world(); }

void let_user_code_go_after_dump() noexcept {
  frozen.store_relaxed(1);  // we have the turn
  start_the_world();
}

void stop_here(m& here) noexcept {
  {
    detail::spin_guard guard(sched.lock);
    if (sched.stop_requested.load_relaxed() == 0) return;
    if (p* mine = here.held; mine != nullptr) {
      mine->status = p_status::stopped;
      mine->holder.store_relaxed(nullptr);
      here.hold_none();
      one_stopped_locked();
    }
    drop_stray_locked(here);
  }
  sleep_without_p(here);
}

void freeze_the_world(std::int64_t timeout_ns) noexcept {
  world_turn.enter();
  detail::inside_gort inside;
  // Not in place, and who is in place is let go: what follows may need the locks they hold.
  stop_all(timeout_ns, false);
  let_all_in_place_go();
  frozen.store_relaxed(1);  // we have the turn
  world_turn.exit();
}

bool frozen_after_run() noexcept { return frozen.load_relaxed() != 0; }  // a hint to others

void thaw_the_world() noexcept {
  if (frozen.load_relaxed() == 0) return;  // only who freezes thaws: one run() at a time
  world_turn.enter();
  detail::enter_gort();  // start_the_world() leaves
  frozen.store_relaxed(0);
  start_the_world();
}

void start_the_world() noexcept {
  if (frozen.load_relaxed() != 0) {
    {
      detail::spin_guard guard(sched.lock);
      sched.stop_in_place = false;  // a signal that is still on its way must not park them again
    }
    resume_all_stopped();  // stragglers that the freeze did not wait for
    let_all_in_place_go();
    world_turn.exit();
    detail::exit_gort();
    return;
  }
  // Ps with work, and one more to look at the global queue and the timers, get an M each.
  m* to_wake = nullptr;
  std::uint32_t missing = 0;
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
        ++missing;
      }
    }
    to_wake = resume_strays_locked(to_wake);
    wake_starter = want_ms_locked(missing);
  }
  wake_all(to_wake);
  if (poller_among_them) the_netpoller()->interrupt();  // [npoll-3]
  if (wake_starter) wake_starter_thread();
  wake_sysmon();
  world_turn.exit();
  detail::exit_gort();
}

void set_proc_count(int count) noexcept {
  if (proc_count() == count) return;
  world_turn.enter();
  allocate_procs(count);
  detail::enter_gort();  // until start_the_world()
  stop_all(-1, true);
  if (proc_count() != count) resize_procs(count);
  start_the_world();
}

}  // namespace gort::sched
