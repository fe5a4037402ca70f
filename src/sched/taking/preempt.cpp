// Preemption: what sysmon does about a goroutine that computes while others wait.
//
// It signals the goroutine's thread. The handler, on the thread's alternate stack, looks whether
// the thread is in user code (inside == 0) and then parks the thread where it is (hand_off.cpp):
// registers, vector state, thread_local objects, locks and exceptions in flight stay with it. It
// goes on when the scheduler gives it a P again. So it is safe at any instruction of user code, and
// it costs two futex calls where a switch of stacks would cost none.
//
// Invariants
//   [preempt-1] The handler touches nothing that the interrupted code may have half changed: only
//               atomics, the M's fields under sched.lock, system calls.
//   [preempt-2] A thread inside gort is left alone; it is signaled again at sysmon's next look.
//   [preempt-4] A goroutine that asks for it itself (give_way_to_due()) sends the signal to its own
//               thread, in user code: so it is parked like any other, and not moved, though it may
//               be in the middle of what a user thinks of as an allocation.
//   [preempt-3] A signal may arrive late, when another goroutine runs: `preempt_tick` says which
//               turn of the P it was meant for.
//
// Under ThreadSanitizer signals are delivered when the program next calls into its runtime, so a
// loop without calls and atomic operations is not preempted there.
#include "os/preempt.hpp"
#include "arch/context.hpp"
#include "base/env.hpp"
#include "os/clock.hpp"
#include "sched/gmp/current.hpp"
#include "sched/taking/hand_off.hpp"
#include "sched/taking/look.hpp"

namespace gort::sched {

namespace {

detail::atomic<std::uint32_t> enabled;

void on_signal(const void* context) noexcept {
  g* self = arch::load_current_g();
  if (self == nullptr || self->kind != g_kind::goroutine) return;
  m& here = *self->m;
  if (here.samples.look_ns.load_relaxed() != 0) {
    look_at_self(*self, context);
    // Whether that was all is not known. A thread with a P may have run for long, too: its tick
    // tells. One without is asked again, if it must be.
    if (here.p_on_entry() == nullptr) return;
  }
  if (__atomic_load_n(here.inside, __ATOMIC_RELAXED) != 0) return;  // [preempt-2]
  detail::inside_gort inside;
  here.samples.interrupted_at.store_relaxed(context);  // read under sched.lock, when it is in place
  // With the context saved, so that dumps can unwind from here through the signal's frame.
  gort_call_saved(
      &self->saved_sp,
      [](void* raw) {
        m& own = *static_cast<m*>(raw);
        const p* mine = own.p_on_entry();
        park_in_place(own, mine == nullptr ? 0 : mine->preempt_tick.load_relaxed());
      },
      &here);
  here.samples.interrupted_at.store_relaxed(nullptr);
}

}  // namespace

bool preemption_is_on() noexcept { return enabled.load_relaxed() != 0; }

void install_preemption() noexcept {
  (void)os::fences_running_threads();  // chosen before anybody is in a hurry
  if (base::godebug("asyncpreemptoff", 0) != 0) return;
  os::handle_preemption(on_signal);
  enabled.store_relaxed(1);  // written once, before any M exists
}

void preempt(p& what, std::uint32_t noticed_tick) noexcept {
  if (!preemption_is_on()) return;
  // A hint; records of Ms are never freed [threads-2]. Acquire pairs with the release in
  // hold_locked(): it is complete.
  const m* who = what.holder.load_acquire();
  if (who == nullptr) return;
  what.preempt_tick.store_relaxed(noticed_tick);  // read by the handler, which compares
  os::interrupt_thread(who->thread.load_relaxed());
}

namespace {

void give_way(bool to_all) noexcept {
  p* mine = nullptr;
  std::uint32_t tick = 0;
  {
    const detail::inside_gort inside;
    const g* self = arch::load_current_g();
    if (self == nullptr || self->kind != g_kind::goroutine) return;
    mine = self->m->p_on_entry();
    if (mine == nullptr) return;
    tick = mine->tick.load_relaxed();
    // Who waits here, too, but not those in place and their like: they take turns, as ever.
    const bool few_in_place =
        sched.global_size.load_relaxed() <= static_cast<std::uint32_t>(proc_count());
    const bool due = mine->timers.next_when_ns.load_relaxed() <= os::monotonic_ns() ||
                     (to_all && sched.global_size.load_relaxed() != 0) ||
                     (few_in_place && (mine->queue.has_next() || mine->queue.size() != 0));
    if (!due) return;
  }
  preempt(*mine, tick);
}

}  // namespace

void give_way_to_due() noexcept { give_way(false); }
void give_way_to_others() noexcept { give_way(true); }

}  // namespace gort::sched
