// Ps that change hands without their goroutine's help, and threads that have lost theirs.
//
// Problem: a goroutine may block in a library that knows nothing of gort, or compute for seconds.
// The others must go on, and the goroutine may not be moved to another thread: it may hold a lock,
// sit inside malloc, or have the address of a thread_local in a register. So its *thread* stays as
// it is, and the P goes to another M.
//
// Three ways to lose a P in user code:
//   - blocking(f) announces it (blocking.cpp): the P is given away at once if others wait for it,
//     else sysmon takes it when they do;
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
//   [hand-5] How many threads are in place is bounded, give or take one for each P (in_place.cpp).
//   [hand-6] A thread inside gort keeps its P [inside-1], also while it waits for a lock of the
//            user [inside-4] whose holder is parked in place. So where such a wait lasts, sysmon
//            lets those in place go one after another, as strays. The same for a stop of the world.
//
// Rejected: moving a preempted goroutine to another thread (not safe in C++); a signal to find out
// whether a thread is blocked (interrupts its system call).
#include <gort/detail/park.hpp>

#include "os/preempt.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/seams.hpp"
#include "sched/switching/schedule.hpp"
#include "sched/taking/hand_off.hpp"
#include "sched/taking/strays.hpp"

namespace gort::sched {

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
    if (was == in_place::listed) take_in_place_locked(*target);
    if (was == in_place::listed || was == in_place::stopped) {  // [hand-4]
      sched.global_queue.push_back(to_runnable(to));
      count_global_locked();
    }
    if (was == in_place::stopped) return;
    p& mine = *here.held;
    let_go_of_p_locked(here);
    resume_in_place_locked(*target, mine);
  }
  target->wake_note.wake();
  sleep_without_p(here);
}

namespace {

// False: it is inside gort, or nobody can tell.
bool deprive_locked(m& who, p& what) noexcept {
  who.use_none();  // [hand-1], [inside-3]
  detail::delay_point(detail::delay_at::take_p);
  // Acquire pairs with the release in exit_gort(): what the thread did with the P is visible.
  if (!os::fence_thread(who.thread.load_relaxed()) ||
      __atomic_load_n(who.inside, __ATOMIC_ACQUIRE) != 0) {
    who.use(what);
    return false;
  }
  detail::delay_point(detail::delay_at::take_p);
  who.hold_none();
  add_stray_locked(who);
  g_status was = g_status::running;  // unless it has come back meanwhile, and waits for the lock
  g& blocked = *who.current.load_relaxed();
  const bool found = blocked.status.cas_acq_rel(was, g_status::syscall);  // [seam-2]
  if (found || was == g_status::syscall)
    blocked.waiting_since_ns.store_relaxed(sched.coarse_now_ns.load_relaxed());  // for dumps
  seam::p_taken_locked(who, what, blocked, found);
  (who.in_announced_call() ? sched.taken_announced : sched.unannounced_blocking)
      .fetch_add_relaxed(1);  // statistics
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
  } else {
    empty_queues_locked(what);  // an idle P has no work [proc-2]
    push_idle_p_locked(what);
    how.wake_starter = want_m_locked() || how.wake_starter;
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
  bool has_come;
  bool found_one = false;
  sleep_plan plan;
  {
    detail::spin_guard guard(sched.lock);
    drop_stray_locked(here);
    if (here.held != nullptr) return;  // [hand-1]
    has_come = has_come_locked(here);
    if (sched.stop_requested.load_relaxed() == 0) {
      if (p* idle = pop_idle_p_locked(); idle != nullptr) {
        take_up_locked(here, *idle);
        found_one = true;
      }
    }
    if (!found_one) plan = lie_down_locked(here);
  }
  if (has_come || found_one) wake_sysmon();
  if (!found_one) return sleep_as_planned(here, plan);
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
    seam::leaves_syscall_locked(*self);
    if (sched.stop_requested.load_relaxed() == 0) {
      if (p* idle = pop_idle_p_locked(); idle != nullptr) {
        take_up_locked(here, *idle);
        found_one = true;
      }
    }
    if (!found_one) {
      sched.global_queue.push_back(to_runnable(self));
      count_global_locked();
    }
  }
  if (found_one) {
    seam::goes_on(*self);
    wake_sysmon();
    return false;
  }
  wake_for_global();
  leave_for(self, 0, false);  // another M continues it; this one has no P to wait for
  return true;
}

namespace {

// What park_in_place() has done, and has still to do without the lock.
struct parking {
  bool parked = false;
  bool took_idle = false;
  passed_on how;
};

// A stray that computes waits for a P like the others, or with the rest of the world [stray-2].
void park_stray_locked(m& here, bool stopping, parking& done) noexcept {
  done.parked = true;
  if (stopping) {
    here.in_place = in_place::stopped;  // and a stray still
    if (sched.stop_waiting == 0) sched.stop_note.wake();
    return;
  }
  drop_stray_locked(here);
  seam::leaves_syscall_locked(*here.current.load_relaxed());
  if (p* idle = pop_idle_p_locked(); idle != nullptr) {
    take_up_locked(here, *idle);
    done.took_idle = true;
    done.parked = false;
  } else {
    add_in_place_locked(here);
  }
}

void preempt_locked(m& here, p& mine) noexcept {
  seam::preempted_locked(*here.current.load_relaxed(), mine);
  let_go_of_p_locked(here);
}

// It keeps its P, for when the world starts.
void stop_in_place_locked(m& here, p& mine, parking& done) noexcept {
  preempt_locked(here, mine);
  mine.status = p_status::stopped;
  mine.holder.store_relaxed(nullptr);
  mine.stopped_in_place = &here;
  here.in_place = in_place::stopped;
  one_stopped_locked();
  done.parked = true;
}

// The P goes to an M that makes a turn with it; where none is to be had, to the oldest in place.
void give_way_locked(m& here, p& mine, parking& done) noexcept {
  const bool no_more_threads = hold_back_locked(mine);
  if (m* sleeper = no_more_threads ? nullptr : pop_idle_m_locked(done.how.next);
      sleeper != nullptr) {
    preempt_locked(here, mine);
    hold_locked(*sleeper, mine);
  } else {
    // One is asked for, and this goroutine goes on until the next look. If that was asked for
    // before, the starter may be waiting for a lock of somebody in place [hand-3].
    done.how.wake_starter = !no_more_threads && want_m_locked();
    if (done.how.wake_starter) return;
    done.how.resumed = pop_in_place_locked();
    if (done.how.resumed == nullptr) return;
    preempt_locked(here, mine);
    resume_in_place_locked(*done.how.resumed, mine);
  }
  add_in_place_locked(here);
  sched.preemptions.fetch_add_relaxed(1);  // a statistic
  done.parked = true;
}

}  // namespace

void park_in_place(m& here, std::uint32_t noticed_tick) noexcept {
  parking done;
  g& self = *here.current.load_relaxed();
  {
    detail::spin_guard guard(sched.lock);
    p* mine = here.held;
    const bool stopping = sched.stop_requested.load_relaxed() != 0;
    if (stopping && !sched.stop_in_place) return;
    if (mine == nullptr) {
      if (here.stray) park_stray_locked(here, stopping, done);
    } else if (stopping) {
      stop_in_place_locked(here, *mine, done);
    } else if (mine->tick.load_relaxed() == noticed_tick) {  // else somebody else's turn by now
      give_way_locked(here, *mine, done);
    }
    if (done.parked) {
      here.kept.store_relaxed(false);
      // One that is stopped with the world counts as running, or as in its call.
      if (here.in_place != in_place::stopped) self.status.store_relaxed(g_status::runnable);
      self.on_cpu.store_release(on_cpu_only_there);  // pairs with view_of(): saved_sp
    }
  }
  done.how.wake();
  if (done.took_idle) {
    seam::goes_on(self);
    wake_sysmon();
  }
  if (!done.parked) return;
  seam::m_sleeps(here, &self);
  here.wake_note.sleep();  // [hand-2]
  seam::m_woke(here, &self);
  // None: let go [hand-6], or it was a stray before the stop and is one now.
  if (p* mine = here.held; mine != nullptr) {
    seam::p_started(here, *mine);
    seam::goes_on(self);
  }
}

}  // namespace gort::sched
