// Ps that change hands without their goroutine's help, and threads that have lost theirs.
//
// Problem: a goroutine may block in a library that knows nothing of gort, or compute for seconds.
// The others must go on, and the goroutine may not be moved to another thread: it may hold a lock,
// sit inside malloc, or have the address of a thread_local in a register. So its *thread* stays as
// it is, and the P goes to another M.
//
// Three ways to lose a P in user code:
//   - blocking(f) announces it (blocking.cpp): the P is given away at once if others wait for it,
//   else taken by
//     sysmon when they do;
//   - the thread sleeps in the kernel: sysmon takes the P behind its back. No signal is sent, so
//     the library sees no EINTR;
//   - the thread computes: a signal parks it in place (preempt.cpp).
// After the first two it is a *stray* (strays.cpp): user code without a P. It notices when it
// enters gort.
//
// Invariants
//   [hand-1] A thread is deprived of its P under sched.lock and while it is not inside gort
//            [inside-3]. A taker that fails gives it back before it unlocks; so the thread, which
//            takes the lock before it acts on having no P, sees one or the other. To switch is to
//            act: the taker reads m::current.
//   [hand-2] on_cpu is 2 (`only_there`) while a G's thread waits in place: whoever picks such a G
//            gives its own P to that thread and goes to sleep. The thread's note is its wake-up.
//            The same for a goroutine that is locked to its thread (lock_thread.cpp).
//   [hand-3] Nothing here allocates, starts threads, or takes a lock but sched.lock: threads parked
//            in place may hold malloc's lock. If no M is asleep to take a P, one is asked of the
//            starter (threads.cpp), and meanwhile the oldest in place gets the P, or things stay.
//   [hand-4] A goroutine may be parked in place after it has published itself on a wait list and
//            before its park(). Then somebody may ready it, and it stands for two resumptions: as a
//            member of the in-place list and in a run queue. They are interchangeable: whoever
//            picks it while it is in place resumes the thread; whoever picks it afterwards finds it
//            running, waits until it has parked, and runs it. A G can be linked into one queue
//            only: so the list is one of Ms, and who takes a G off it goes through with that.
//   [hand-5] At most `crowd` threads are in place, give or take one for each P: beyond that,
//            goroutines that have not started are held back, and the oldest in place gets the P in
//            every other turn.
//   [hand-6] A thread inside gort keeps its P [inside-1], also while it waits for a lock of the
//            user [inside-4] whose holder is parked in place. So where such a wait lasts, sysmon
//            lets those in place go one after another, as strays. The same for a stop of the world.
//
// Rejected: moving a preempted goroutine to another thread (not safe in C++); a signal to find out
// whether a thread is blocked (interrupts its system call).
#include <gort/detail/park.hpp>

#include "os/preempt.hpp"
#include "sched/current.hpp"
#include "sched/hand_off.hpp"
#include "sched/schedule.hpp"
#include "sched/strays.hpp"

namespace gort::sched {

namespace {

constexpr std::size_t crowd = 128;

void end_crowd_locked() noexcept {
  sched.crowded.store_relaxed(0);  // a hint to those without the lock
  while (runnable r = sched.held_back.pop_front()) sched.global_queue.push_back(r);
}

m* pop_in_place_locked() noexcept {
  m* first = sched.in_place.head;
  if (first == nullptr) return nullptr;
  sched.in_place.remove(*first);
  if (sched.crowded.load_relaxed() != 0 && sched.in_place.size < crowd / 2) end_crowd_locked();
  return first;
}

// The thread gets `what`; its note must be woken.
void resume_in_place_locked(m& who, p& what) noexcept {
  who.in_place = in_place::no;
  who.current->on_cpu.store_relaxed(on_cpu_here);  // who looks at it next gets it by sched.lock
  who.current->status.store_relaxed(g_status::running);
  hold_locked(who, what);
}

}  // namespace

void count_global_locked() noexcept {
  sched.global_size.store_relaxed(
      static_cast<std::uint32_t>(sched.global_queue.size + sched.in_place.size));
}

runnable pop_global_locked() noexcept {
  sched.in_place_turn = !sched.in_place_turn;
  runnable r = 0;
  if (sched.in_place.size == 0 || !sched.in_place_turn) {
    r = sched.global_queue.pop_front();
    while (r != 0 && is_unstarted(r) && sched.crowded.load_relaxed() != 0) {  // [hand-5]
      sched.held_back.push_back(r);
      r = sched.global_queue.pop_front();
    }
  }
  if (r == 0) {
    if (const m* first = pop_in_place_locked(); first != nullptr) r = to_runnable(first->current);
  }
  count_global_locked();
  return r;
}

void hand_over(m& here, g* to) noexcept {
  m* target;
  {
    detail::spin_guard guard(sched.lock);
    if (to->on_cpu.load_relaxed() != on_cpu_only_there) {  // another one was faster [hand-4]
      here.next = to_runnable(to);
      return;
    }
    target = to->m;
    const enum in_place was = target->in_place;
    if (was == in_place::listed) sched.in_place.remove(*target);
    if (was == in_place::listed || was == in_place::stopped) {  // [hand-4]
      sched.global_queue.push_back(to_runnable(to));
      count_global_locked();
    }
    if (was == in_place::stopped) return;
    p& mine = *here.held;
    here.hold_none();
    resume_in_place_locked(*target, mine);
  }
  target->wake_note.wake();
  sleep_without_p(here);
}

namespace {

// False: it is inside gort, or nobody can tell.
bool deprive_locked(m& who, p& what) noexcept {
  who.usable.store_relaxed(nullptr);  // [hand-1], [inside-3]
  // Acquire pairs with the release in exit_gort(): what the thread did with the P is visible.
  if (!os::fence_thread(who.thread.load_relaxed()) ||
      __atomic_load_n(who.inside, __ATOMIC_ACQUIRE) != 0) {
    who.usable.store_relaxed(&what);
    return false;
  }
  who.hold_none();
  add_stray_locked(who);
  g_status was = g_status::running;  // unless it has come back meanwhile, and waits for the lock
  who.current->status.cas_acq_rel(was, g_status::syscall);
  if (who.announced.load_relaxed() == 0)  // a statistic
    sched.unannounced_blocking.fetch_add_relaxed(1);
  return true;
}

}  // namespace

void pass_on_locked(p& what, passed_on& how) noexcept {
  if (sched.stop_requested.load_relaxed() != 0) {
    what.status = p_status::stopped;
    what.holder.store_relaxed(nullptr);
    one_stopped_locked();
  } else if (m* sleeper = pop_idle_m_locked(how.next); sleeper != nullptr) {
    hold_locked(*sleeper, what);
  } else if (sched.in_place.size != 0) {  // the starter may need those in place [hand-3]
    how.wake_starter = want_m_locked() || how.wake_starter;
    how.resumed = pop_in_place_locked();
    resume_in_place_locked(*how.resumed, what);
    count_global_locked();
  } else {
    empty_queues_locked(what);  // an idle P has no work [proc-2]
    push_idle_p_locked(what);
    how.wake_starter = want_ms_locked(1) || how.wake_starter;
  }
}

void passed_on::wake() const noexcept {
  if (wake_starter) wake_starter_thread();
  if (next.who != nullptr) next.now();
  if (resumed != nullptr) resumed->wake_note.wake();
}

taking take_p_of_blocked(p& what) noexcept {
  passed_on how;
  taking result = taking::later;
  {
    detail::spin_guard guard(sched.lock);
    m* who = what.holder.load_relaxed();
    if (what.status != p_status::running || who == nullptr || who->held != &what) return result;
    const bool stopping = sched.stop_requested.load_relaxed() != 0;
    const bool nobody = !stopping && sched.idle_ms == nullptr;
    if (nobody) how.wake_starter = want_m_locked();
    if (!nobody || sched.in_place.size != 0)  // the starter may need those in place [hand-3]
      result = deprive_locked(*who, what) ? taking::done : taking::inside;
    if (result == taking::done) pass_on_locked(what, how);
  }
  how.wake();
  return result;
}

p* p_for_sure(const m& here) noexcept {
  detail::spin_guard guard(sched.lock);
  return here.held;
}

void find_p(m& here) noexcept {
  {
    detail::spin_guard guard(sched.lock);
    drop_stray_locked(here);
    if (here.held != nullptr) return;  // [hand-1]
  }
  if (!try_reacquire(here)) return sleep_without_p(here);
  wake_sysmon();
  if (sched.global_size.load_relaxed() > 1) wake_if_idle();
}

bool regain_p(g* self) noexcept {
  m& here = *self->m;
  bool found_one = false;
  {
    // In one section: between being a stray and being queued it must not be taken for gone by the
    // deadlock check.
    detail::spin_guard guard(sched.lock);
    drop_stray_locked(here);
    if (here.held != nullptr) return false;  // [hand-1]
    if (sched.stop_requested.load_relaxed() == 0) {
      if (p* idle = pop_idle_p_locked(); idle != nullptr) {
        hold_locked(here, *idle);
        found_one = true;
      }
    }
    if (!found_one) {
      self->status.store_relaxed(g_status::runnable);
      sched.global_queue.push_back(to_runnable(self));
      count_global_locked();
    }
  }
  if (found_one) {
    wake_sysmon();
    return false;
  }
  wake_for_global();
  leave_for(self, 0, false);  // another M continues it; this one has no P to wait for
  return true;
}

void park_in_place(m& here, std::uint32_t noticed_tick) noexcept {
  g* self = here.current;
  wake_up next;
  m* resumed = nullptr;
  bool wake_starter = false;
  bool took_idle = false;
  bool parked = false;
  {
    detail::spin_guard guard(sched.lock);
    p* mine = here.held;
    const bool stopping = sched.stop_requested.load_relaxed() != 0;
    if (stopping && !sched.stop_in_place) return;
    if (mine == nullptr) {
      if (!here.stray) return;
      if (stopping) {
        here.in_place = in_place::stopped;  // and a stray still [stray-2]
        if (sched.stop_waiting == 0) sched.stop_note.wake();
        parked = true;
      } else if (sched.idle_p_count.load_relaxed() != 0) {
        drop_stray_locked(here);
        hold_locked(here, *pop_idle_p_locked());
        took_idle = true;
      } else {
        drop_stray_locked(here);
        sched.in_place.push_back(here);
        parked = true;
      }
    } else if (stopping) {
      mine->status = p_status::stopped;
      mine->holder.store_relaxed(nullptr);
      mine->stopped_in_place = &here;
      here.in_place = in_place::stopped;
      here.hold_none();
      one_stopped_locked();
      parked = true;
    } else {
      if (mine->tick.load_relaxed() != noticed_tick) return;  // somebody else's turn by now
      const bool crowded = sched.in_place.size >= crowd;
      if (crowded && sched.crowded.load_relaxed() == 0) sched.crowded.store_relaxed(1);
      if (crowded) {  // [hand-5]; we hold the P, so its nursery is ours
        while (runnable r = mine->nursery.pop_oldest()) sched.held_back.push_back(r);
        sched.in_place_turn = !sched.in_place_turn;
      }
      const bool oldest_first = crowded && sched.in_place_turn;
      m* sleeper = oldest_first ? nullptr : pop_idle_m_locked(next);
      if (sleeper != nullptr) {
        hold_locked(*sleeper, *mine);
      } else {
        // No M: one is asked for, and this goroutine goes on until the next look. If that was asked
        // for before, the starter may be waiting for a lock of somebody in place [hand-3].
        wake_starter = !oldest_first && want_m_locked();
        if (!wake_starter) resumed = pop_in_place_locked();
        if (resumed != nullptr) resume_in_place_locked(*resumed, *mine);
      }
      if (sleeper != nullptr || resumed != nullptr) {
        here.hold_none();
        sched.in_place.push_back(here);
        sched.preemptions.fetch_add_relaxed(1);  // a statistic
        parked = true;
      }
    }
    if (parked) {
      self->on_cpu.store_release(on_cpu_only_there);  // pairs with view_of(): saved_sp
      // One that is stopped with the world counts as running.
      if (here.in_place != in_place::stopped) self->status.store_relaxed(g_status::runnable);
    }
    count_global_locked();
  }
  if (wake_starter) wake_starter_thread();
  if (next.who != nullptr) next.now();
  if (resumed != nullptr) resumed->wake_note.wake();
  if (took_idle) wake_sysmon();
  if (parked) here.wake_note.sleep();  // [hand-2]
}

bool let_one_in_place_go() noexcept {
  m* who;
  {
    detail::spin_guard guard(sched.lock);
    who = pop_in_place_locked();
    count_global_locked();
    if (who == nullptr) return false;
    who->current->on_cpu.store_relaxed(on_cpu_here);  // ordered by the note
    who->current->status.store_relaxed(g_status::running);
    add_stray_locked(*who);
  }
  who->wake_note.wake();
  return true;
}

}  // namespace gort::sched
