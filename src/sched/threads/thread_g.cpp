// Plain threads: every primitive works for them too. Each gets a pseudo-G at its first use of gort;
// park() is then a futex wait.
//
// Invariants
//   [thread-1] thread_state, guarded by sched.lock: running; asleep (counted in plain_parked);
//              napping, that is asleep with a deadline (not counted: it wakes by itself); readied
//              before it went to sleep.
//   [thread-2] The waker takes the thread out of plain_parked, so between ready() and the thread's
//              running again it is not taken for asleep by the deadlock check.
#include <new>

#include <gort/detail/park.hpp>

#include "base/sanitizer.hpp"
#include "os/cpu_timers.hpp"
#include "sched/gmp/contention.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/fork.hpp"
#include "sched/switching/schedule.hpp"
#include "sched/world/deadlock.hpp"
#include "sched/world/world.hpp"

namespace gort::sched {

namespace {

constexpr std::uint32_t is_running = 0, is_asleep = 1, is_readied = 2, is_napping = 3;

// Frees the pseudo-G when its thread ends.
struct owner {
  g* held = nullptr;
  ~owner() {
    if (held == nullptr) return;
    destroy_locals(*held);
    drop_labels(*held);
    arch::store_current_g(nullptr);
    delete held;
  }
};
thread_local owner this_thread;

}  // namespace

g* adopt_thread() noexcept {
  if (in_forked_child() && !forked_child_exits()) gort_used_in_forked_child();
  g* made = new (std::nothrow) g;
  if (made == nullptr) fatal("gort: out of memory for a thread's record");
  made->kind = g_kind::thread;
  made->tsan_fiber = base::fiber_current();
  this_thread.held = made;
  watch_for_exit();
  arch::store_current_g(made);
  os::sample_this_thread();
  return made;
}

void park_thread(g* self, wait_reason why) noexcept {
  if (self->kind == g_kind::scheduler)
    fatal("gort: a timer callback tried to block; start a goroutine from it instead");
  if (in_forked_child()) gort_used_in_forked_child();
  self->reason.store_relaxed(why);
  bool dead;
  bool others = false;
  {
    detail::spin_guard guard(sched.lock);
    if (self->thread_state.load_relaxed() == is_readied) {
      self->thread_state.store_relaxed(is_running);
      return;
    }
    self->thread_state.store_relaxed(is_asleep);
    ++sched.plain_parked;
    if (why == detail::wait_reason::io_wait) sched.io_waits_elsewhere.fetch_add_relaxed(1);
    const verdict found = sched.p_allocated.load_relaxed() != 0 ? judge_locked() : verdict::alive;
    dead = found == verdict::deadlock;
    others = found == verdict::up_to_others;
  }
  if (dead) report_deadlock();
  if (others) wake_sysmon();  // which looks again [dead-2]
  {
    const sleep_in_park marked;
    self->thread_note.sleep();
  }
  if (why == detail::wait_reason::io_wait) sched.io_waits_elsewhere.fetch_sub_relaxed(1);
  self->reason.store_relaxed(wait_reason::none);
}

void ready_thread(g* target) noexcept {
  {
    detail::spin_guard guard(sched.lock);
    const std::uint32_t state = target->thread_state.load_relaxed();
    if (state == is_running) {
      target->thread_state.store_relaxed(is_readied);
      return;
    }
    target->thread_state.store_relaxed(is_running);
    if (state == is_asleep) --sched.plain_parked;
  }
  target->thread_note.wake();
}

}  // namespace gort::sched

namespace gort::detail {

using namespace gort::sched;

bool is_goroutine(const g& x) noexcept { return x.kind == g_kind::goroutine; }

bool park_thread_until(std::int64_t deadline_ns, wait_reason why) noexcept {
  const watched_wait watched(why);
  g* self = current_g();
  self->reason.store_relaxed(why);  // for dumps
  {
    spin_guard guard(sched::sched.lock);
    if (self->thread_state.load_relaxed() == is_readied) {
      self->thread_state.store_relaxed(is_running);
      return true;
    }
    self->thread_state.store_relaxed(is_napping);
  }
  bool woken;
  {
    const sleep_in_park marked;
    woken = self->thread_note.sleep(deadline_ns);
  }
  self->reason.store_relaxed(wait_reason::none);
  if (woken) return true;
  {
    spin_guard guard(sched::sched.lock);
    if (self->thread_state.load_relaxed() == is_napping) {
      self->thread_state.store_relaxed(is_running);
      return false;
    }
  }
  const sleep_in_park marked;
  self->thread_note.sleep();  // readied just now: its wake() is on its way
  return true;
}

}  // namespace gort::detail
