// Announced blocking: the P is given away before the thread blocks. What it then is: hand_off.cpp.
#include <gort/blocking.hpp>
#include <gort/debug.hpp>

#include "os/preempt.hpp"
#include "sched/current.hpp"
#include "sched/hand_off.hpp"
#include "sched/schedule.hpp"
#include "sched/strays.hpp"

namespace gort::detail {

using namespace gort::sched;

void begin_blocking() noexcept {
  g* self = arch::load_current_g();
  if (self == nullptr || self->kind != g_kind::goroutine) return;
  inside_gort inside;
  m& here = *self->m;
  here.announced.store_relaxed(1);                       // a hint to sysmon
  sched::sched.announced_blocking.fetch_add_relaxed(1);  // a statistic
  self->status.store_relaxed(g_status::syscall);
  p* mine = here.p_on_entry();
  // Later sysmon could not take the P from this thread while it computes, were there no barrier.
  if (mine == nullptr || (!others_wait(*mine) && os::fences_running_threads())) return;
  wake_up next;
  bool wake_starter = false;
  {
    spin_guard guard(sched::sched.lock);
    if (sched::sched.stop_requested.load_relaxed() != 0) return;
    if (m* sleeper = pop_idle_m_locked(next); sleeper != nullptr) {
      here.hold_none();
      add_stray_locked(here);
      hold_locked(*sleeper, *mine);
    } else {
      wake_starter = want_m_locked();
    }
  }
  if (wake_starter) wake_starter_thread();
  if (next.who != nullptr) next.now();
}

void end_blocking() noexcept {
  g* self = arch::load_current_g();
  if (self == nullptr || self->kind != g_kind::goroutine) return;
  inside_gort inside;
  self->m->announced.store_relaxed(0);  // a hint to sysmon
  if (self->m->p_on_entry() == nullptr) regain_p(self);
  self->status.store_relaxed(g_status::running);
}

}  // namespace gort::detail

namespace gort::debug {

scheduler_counts read_scheduler_counts() noexcept {
  scheduler_counts now;
  now.announced_blocking = sched::sched.announced_blocking.load_relaxed();
  now.unannounced_blocking = sched::sched.unannounced_blocking.load_relaxed();
  now.preemptions = sched::sched.preemptions.load_relaxed();
  detail::spin_guard guard(sched::sched.lock);
  now.threads = sched::sched.m_count;
  now.threads_in_place = sched::sched.in_place.size;
  return now;
}

}  // namespace gort::debug
