// Choosing the next G and switching to it.
//
// Problem: a goroutine that parks should hand the processor to the next one directly, in some ten
// nanoseconds, without a detour over a scheduler stack; and nobody may starve.
//
// Life of a switch, in call order: park() -> leave() -> pick() -> switch_to() -> [other context]
// finish_switch(). Where pick() finds nothing, the switch goes to g0, whose loop may block.
//
// Invariants
//   [switch-1] finish_switch() runs first on every context that is switched to; it makes the one
//              left behind available (on_cpu = 0) or, if that has ended, recycles its stack.
//   [switch-2] Between picking a G and switching to it nothing blocks and nothing else is picked.
//   [switch-3] No thread-local address lives across gort_switch: everything is reached through
//              `self->m`, which whoever resumes `self` has written.
//
//   [switch-4] A G's exceptions in flight are in the C++ runtime's words while it runs, and in its
//              own while it does not; the other place is zero.
//
// Whose turn it is: turns.hpp.
#include "sched/switching/schedule.hpp"

#include <utility>

#include "arch/context.hpp"
#include "arch/pause.hpp"
#include "base/sanitizer.hpp"
#include "os/clock.hpp"
#include "os/thread.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/seams.hpp"
#include "sched/stacks/stack_trim.hpp"

namespace gort::sched {

namespace {

// What is not the P's own, for turns.hpp.
struct beyond {
  static std::int64_t now_ns() noexcept { return sched.coarse_now_ns.load_relaxed(); }  // [turn-4]
  static std::uint32_t size() noexcept { return sched.global_size.load_relaxed(); }
  static runnable take(p& here, source from) noexcept {
    return take_which(here, from == source::in_place ? shared::in_place : shared::global);
  }
  static runnable take_any(p& here) noexcept { return take_which(here, shared::in_turn); }

 private:
  static runnable take_which(p& here, shared which) noexcept {
    if (sched.global_size.load_relaxed() == 0) return 0;  // [proc-3]
    const bool has_none =
        here.queue.size() == 0 && !here.queue.has_next() && here.nursery.size() == 0;
    return take_global(here, has_none, which);
  }
};

// False: for g0, which makes a turn of it: the world is being stopped, or timers are due.
bool look_at_rare_things(p& here) noexcept {
  here.recorded.wake_ups.look(sched.coarse_now_ns.load_relaxed());
  // Relaxed: g0 looks again, under the lock.
  if (sched.stop_requested.load_relaxed() != 0) return false;
  here.attention.store_relaxed(0);  // set again if anything arrives after this
  if (here.timers.next_when_ns.load_relaxed() != detail::timer_heap::no_timer) {
    const std::int64_t now_ns = os::monotonic_ns();
    if (here.timers.next_when_ns.load_relaxed() <= now_ns) {
      // [timer-2]: not on the stack of a goroutine that happens to park, which may be nearly full.
      if (arch::load_current_g()->kind != g_kind::scheduler) return false;
      run_timers(here, now_ns);
    }
  }
  return true;
}

}  // namespace

[[gnu::noinline]] runnable pick_slow(p& here) noexcept {
  const bool turn = here.attention.load_relaxed() == attention_turn;
  if (!look_at_rare_things(here)) {
    here.picks_left = p::picks_per_poll;
    return 0;
  }
  return turn ? turns::pick_turn(here, beyond{}) : turns::pick_poll(here, beyond{});
}

runnable pick_turn(p& here) noexcept {
  return look_at_rare_things(here) ? turns::pick_turn(here, beyond{}) : 0;
}

namespace {

[[gnu::noinline]] void wait_for_trim(g& to) noexcept {
  end_trim_claim(to.trim, [] { os::yield_thread(); });
}

[[gnu::noinline]] void swap_exceptions(exception_globals& here, g& self, g& to) noexcept {
  self.caught_exceptions = here.caught;
  self.uncaught_exceptions = here.uncaught;
  here.caught = std::exchange(to.caught_exceptions, nullptr);
  here.uncaught = std::exchange(to.uncaught_exceptions, 0);
}

// What the thread has of the C and C++ runtimes belongs to who runs on it. Nearly always it is the
// same on both sides, and six stores are 0.8 ns of 16.
[[gnu::always_inline]] inline void swap_thread_state(m& here, g& self, g& to) noexcept {
  exception_globals& now = *here.exceptions;
  if (now.caught != nullptr || now.uncaught != 0 || to.caught_exceptions != nullptr ||
      to.uncaught_exceptions != 0) [[unlikely]]
    swap_exceptions(now, self, to);  // [switch-4]
  const int error = *here.errno_address;
  if (self.saved_errno != error) self.saved_errno = error;
  if (to.saved_errno != error) *here.errno_address = to.saved_errno;
}

// The rest of a switch. is_told: whether somebody wants to know of it.
template <bool is_told>
[[gnu::always_inline]] GORT_LEFT_BY_SWITCH inline void load_context(m& here, g* self, g* to,
                                                                    left_as how) noexcept {
  seam::starts_by_switch(*to);
  here.current.store_relaxed(to);

  swap_thread_state(here, *self, *to);
  arch::store_current_g(to);
  if constexpr (is_told) {
    const bool to_g0 = to == &here.g0;
    base::before_switch(to->tsan_fiber, how == left_as::dead ? nullptr : &self->asan_fake_stack,
                        to_g0 ? here.stack_low : to->stack_low,
                        to_g0 ? here.stack_bytes : stack_usable_bytes(*to));
  }
  detail::delay_point(detail::delay_at::leave);
  gort_switch(&self->saved_sp, to->saved_sp);
  if constexpr (is_told) base::after_switch(self->asan_fake_stack);
  finish_switch();
}

// Out of line: what it needs in registers the common switch need not save.
[[gnu::noinline]] GORT_LEFT_BY_SWITCH void switch_told(m& here, g* self, g* to,
                                                       left_as how) noexcept {
  seam::tell_switch_and_start(here, *self, *to);
  load_context<true>(here, self, to, how);
}

[[gnu::always_inline]] GORT_LEFT_BY_SWITCH inline void switch_to(m& here, g* self, g* to,
                                                                 left_as how) noexcept {
  here.previous = self;
  here.previous_is = how;
  to->m = &here;
  to->on_cpu.store_relaxed(1);  // the release in finish_switch() publishes the next change
  // Acquire pairs with the release in drop_if_parked() [trim-2].
  if (to->trim.load_acquire() != trim_none) [[unlikely]]
    wait_for_trim(*to);
  latency::end(*to);  // nothing, for g0
  constexpr bool always = base::with_asan || base::with_tsan;
  if (always || seam::is_switch_wanted()) [[unlikely]]
    return switch_told(here, self, to, how);
  load_context<false>(here, self, to, how);
}

// On an M that serves one goroutine only [lock-2]: the next context is always g0.
[[gnu::noinline]] GORT_LEFT_BY_SWITCH void leave_locked(m& here, g* self, bool dead) noexcept {
  if (here.p_on_entry() == nullptr) (void)p_for_sure(here);
  left_as how = left_as::locked;
  if (dead || self->os_thread_locks.load_relaxed() == 0) {  // the latter: [lock-4]
    how = dead ? left_as::dead : left_as::saved;
    here.ends = true;
  }
  switch_to(here, self, &here.g0, how);
}

// g0's turn on such an M: its goroutine has left. Null: the thread is to leave the scheduler.
g* next_of_locked(m& here) noexcept {
  if (here.ends) return nullptr;
  sleep_until_handed_over(here);
  return here.locked;
}

}  // namespace

void finish_switch() noexcept {
  m& here = *arch::load_current_g()->m;
  g* previous = here.previous;
  if (here.previous_is != left_as::saved) [[unlikely]] {
    if (here.previous_is == left_as::dead) release_stack(*here.held, previous);
    return;
  }
  detail::delay_point(detail::delay_at::switched);
  // Release pairs with the acquire in leave() and scheduler_loop(): the saved context is complete.
  previous->on_cpu.store_release(0);
}

namespace {

[[gnu::always_inline]] GORT_LEFT_BY_SWITCH inline void leave_unlocked(m& here, g* self, runnable r,
                                                                      bool dead) noexcept {
  g* to;
  if (r == 0) {
    to = &here.g0;
  } else if (is_unstarted(r)) {
    to = make_goroutine(*here.held, as_record(r));
  } else {
    to = as_g(r);
    // Acquire pairs with the release in finish_switch(). Not yet saved, or its
    // thread waits in place: g0 sees to it [g-2].
    if (to != self && to->on_cpu.load_acquire() != 0) [[unlikely]] {
      here.next = r;
      to = &here.g0;
    }
  }
  if (to == self) {  // readied before it had left
    seam::starts(*self);
    return;
  }
  switch_to(here, self, to, dead ? left_as::dead : left_as::saved);
}

}  // namespace

GORT_LEFT_BY_SWITCH void leave_for(g* self, runnable r, bool dead) noexcept {
  m& here = *self->m;
  if (here.locked != nullptr) [[unlikely]]
    return leave_locked(here, self, dead);
  leave_unlocked(here, self, r, dead);
}

void leave(g* self) noexcept {
  m& here = *self->m;
  if (here.locked != nullptr) [[unlikely]]
    return leave_locked(here, self, false);
  p* mine = here.p_on_entry();
  if (mine == nullptr) [[unlikely]]
    mine = p_for_sure(here);
  // Without a P: g0 finds one for this M, if there is anything for it to do.
  leave_unlocked(here, self, mine == nullptr ? 0 : pick(*mine), false);
}

namespace {

// For as long as a switch takes, and its thread, where it has been interrupted, to get a CPU. It
// may get none for seconds [half-1].
std::uint32_t wait_for_leaving(const g& to) noexcept {
  constexpr unsigned spins = 200, yields = 20;
  std::uint32_t where = 0;
  for (unsigned i = 0; i < spins + yields; ++i) {
    // Acquire pairs with the release in finish_switch().
    where = to.on_cpu.load_acquire();
    if (where != on_cpu_here) break;
    if (i < spins)
      arch::pause();
    else
      os::yield_thread();
  }
  return where;
}

}  // namespace

void scheduler_loop(m& here) noexcept {
  for (;;) {
    runnable r = here.next;
    here.next = 0;
    g* to;
    if (here.locked != nullptr) {
      to = next_of_locked(here);
      if (to == nullptr) return;
      switch_to(here, &here.g0, to, left_as::saved);
      continue;
    }
    if (r == 0) r = find_runnable(here);
    if (r == 0) return;  // the M ends
    if (is_unstarted(r)) {
      to = make_goroutine(*here.held, as_record(r));
    } else {
      to = as_g(r);
      const std::uint32_t where = wait_for_leaving(*to);
      if (where == on_cpu_here) {
        wait_till_left(r);
        continue;
      }
      if (where == on_cpu_only_there) {
        hand_over(here, to);
        continue;
      }
    }
    switch_to(here, &here.g0, to, left_as::saved);
  }
}

}  // namespace gort::sched
