// Goroutines that are locked to their thread.
//
// Problem: some libraries tie their state to the thread that calls them (OpenGL, GUI toolkits,
// namespaces, capabilities, CPU affinity). A goroutine that uses one must run on one thread, and
// nothing else may run there.
//
// "Only its own thread can continue it" exists already, for goroutines that are parked in place
// [hand-2]: whoever picks one gives its P to that thread and goes to sleep. A locked goroutine that
// parks is made to look the same: its context is saved, its thread sleeps on its note (on g0), and
// on_cpu is 2. So queues, wakers, dumps, stops of the world and the deadlock check need to know
// nothing of locks.
//
// Invariants
//   [lock-1] m::locked is written by the M's own thread only. While it is set, no other goroutine
//            runs there: it picks nothing and goes to g0, which looks for no work. (Were it to
//            pick, and put back what it may not run, turns [turn-1] would be lost that way.)
//   [lock-2] on_cpu of a locked goroutine that leaves stays 1 until its M has given its P away, and
//            becomes 2 in the same section under sched.lock: who hands a P over finds an M that
//            has none. (Who picks it before that waits, as for any goroutine half left.)
//   [lock-3] A goroutine that ends while locked takes its thread along; the P goes to another M.
//   [lock-4] If the thread that calls run() is locked, it serves the main goroutine as a `borrowed`
//            M: m::locked stays set until the main goroutine ends, or leaves after having unlocked.
//            Then the thread is a plain one again and waits in run(). At first it stands in the
//            list of those in place: a goroutine that has not started cannot be queued, as its link
//            holds its record.
//   [lock-5] On a plain thread the count is only kept, for misuse and for [lock-4].
//
// Cost for those that are not locked: one predicted branch in a switch. For a locked one, each park
// that lets others run costs two futex wake-ups, as in Go.
//
// Rejected: letting the locked goroutine's M look for work until it finds some that is not its own.
// It would save those wake-ups where the goroutine is alone; but woken for the work of others it
// would delay them by one more.
#include <gort/detail/park.hpp>
#include <gort/error.hpp>
#include <gort/runtime.hpp>

#include <limits>

#include "sched/gmp/current.hpp"
#include "sched/gmp/seams.hpp"
#include "sched/switching/schedule.hpp"
#include "sched/taking/hand_off.hpp"
#include "sched/taking/strays.hpp"
#include "sched/threads/lock_thread.hpp"

namespace gort::sched {

void sleep_until_handed_over(m& here) noexcept {
  g* own = here.locked;
  passed_on how;
  bool had_none;
  bool starts = false;
  {
    detail::spin_guard guard(sched.lock);
    drop_stray_locked(here);
    p* mine = here.held;
    had_none = mine == nullptr;
    if (!had_none) {
      let_go_of_p_locked(here);
      pass_on_locked(*mine, how);
    }
    here.current.store_relaxed(own);  // for who hands over
    if (here.borrowed == borrowed::fresh) {
      here.borrowed = borrowed::yes;
      ++sched.m_count;
      add_in_place_locked(here);
      starts = true;
    }
    // Release pairs with the acquires in view_of() and of who picks it: saved_sp.
    own->on_cpu.store_release(on_cpu_only_there);  // [lock-2]
  }
  how.wake();
  if (starts) wake_for_global();
  if (had_none) wake_sysmon();  // which may have judged while this was a stray
  seam::m_sleeps(here);
  here.wake_note.sleep();
  seam::m_woke(here);
  if (p* given = here.held; given != nullptr) seam::p_started(here, *given);  // null: let go
}

void run_on_this_thread(g& pseudo, spawn_record* record) noexcept {
  m& here = *make_m();
  detail::enter_gort();
  become_m(here);
  here.borrowed = borrowed::fresh;
  g* main = make_goroutine_without_p(record);
  main->m = &here;
  main->os_thread_locks.store_relaxed(pseudo.os_thread_locks.load_relaxed());
  here.locked = main;
  scheduler_loop(here);
  leave_scheduler(here);
  arch::store_current_g(&pseudo);
  detail::exit_gort();
}

}  // namespace gort::sched

namespace gort::runtime {

void lock_os_thread() {
  detail::g* self = detail::current_g();
  const detail::inside_gort inside;
  const std::uint32_t before = self->os_thread_locks.load_relaxed();
  if (before == std::numeric_limits<std::uint32_t>::max())
    detail::throw_runtime_error("LockOSThread nesting overflow");
  self->os_thread_locks.store_relaxed(before + 1);
  if (before == 0 && self->kind == sched::g_kind::goroutine) self->m->locked = self;
}

void unlock_os_thread() {
  detail::g* self = detail::current_g();
  const detail::inside_gort inside;
  const std::uint32_t before = self->os_thread_locks.load_relaxed();
  if (before == 0)
    detail::throw_runtime_error("gort: unlock_os_thread() without a lock_os_thread()");
  self->os_thread_locks.store_relaxed(before - 1);
  if (before == 1 && self->kind == sched::g_kind::goroutine &&
      self->m->borrowed == sched::borrowed::no)  // [lock-4]
    self->m->locked = nullptr;
}

}  // namespace gort::runtime
