// Switching from one context to another.
//
// Problem: a goroutine that parks should hand the processor to the next one directly, in some ten
// nanoseconds, without a detour over a scheduler stack; and nobody may starve.
//
// Life of a switch, in call order: park() -> leave_here() -> pick() -> switch_to() -> [other
// context] finish_switch(). Where pick() finds nothing, the switch goes to g0, whose loop may
// block. All of it is in one function, park() or yield_now(): registers are saved once.
//
// Invariants
//   [switch-1] finish_switch() runs first on every context that is switched to; it makes the one
//              left behind available (on_cpu = 0) or, if that has ended, recycles its stack.
//   [switch-2] Between picking a G and switching to it nothing blocks and nothing else is picked.
//   [switch-3] No thread-local address lives across switch_context(): everything is reached through
//              `self->m`, which whoever resumes `self` has written.
//   [switch-4] A G's exceptions in flight are in the C++ runtime's words while it runs, and in its
//              own while it does not; the other place is zero.
#pragma once

#include "arch/context.hpp"
#include "arch/thread_word.hpp"
#include "base/sanitizer.hpp"
#include "sched/gmp/seams.hpp"
#include "sched/stacks/stack_trim.hpp"
#include "sched/switching/schedule.hpp"

namespace gort::sched {

// Out of line, in schedule.cpp: what is rare. Its registers the common switch need not save.
void wait_for_trim(g& to) noexcept;
void swap_exceptions(exception_globals& here, g& self, g& to) noexcept;
void switch_told(m& here, g* self, g* to, left_as how) noexcept;
void finish_rare_switch(m& here) noexcept;
/// On an M that serves one goroutine only [lock-2].
void leave_locked(m& here, g* self, bool dead) noexcept;

/// self: the context that runs now [switch-1].
[[gnu::always_inline]] inline void finish_switch(const g& self) noexcept {
  m& here = *self.m;
  if (here.previous_is != left_as::saved) [[unlikely]]
    return finish_rare_switch(here);
  detail::delay_point(detail::delay_at::switched);
  // Release pairs with the acquire in leave_here_for() and scheduler_loop(): the saved context is
  // complete.
  here.previous->on_cpu.store_release(0);
}

// What the thread has of the C and C++ runtimes belongs to who runs on it. Nearly always it is the
// same on both sides, and six stores are 0.8 ns of 16.
[[gnu::always_inline]] inline void swap_thread_state(m& here, g& self, g& to) noexcept {
  exception_globals& now = *here.exceptions;
  if ((reinterpret_cast<std::uintptr_t>(now.caught) | now.uncaught |
       reinterpret_cast<std::uintptr_t>(to.caught_exceptions) | to.uncaught_exceptions) != 0)
      [[unlikely]]
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
  arch::switch_context(&self->saved_sp, to->saved_sp);
  if constexpr (is_told) base::after_switch(self->asan_fake_stack);
  finish_switch(*self);
}

[[gnu::always_inline]] GORT_LEFT_BY_SWITCH inline void switch_to(m& here, g* self, g* to,
                                                                 left_as how) noexcept {
  here.previous = self;
  if (how != left_as::saved) here.previous_is = how;
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

/// here: an M that may run any goroutine.
[[gnu::always_inline]] GORT_LEFT_BY_SWITCH inline void leave_unlocked(m& here, g* self, runnable r,
                                                                      bool dead) noexcept {
  g* to;
  if (r == 0) [[unlikely]] {
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
  if (to == self) [[unlikely]] {  // readied before it had left
    seam::starts(*self);
    return;
  }
  switch_to(here, self, to, dead ? left_as::dead : left_as::saved);
}

/// leave_for(), in the caller's own frame.
[[gnu::always_inline]] GORT_LEFT_BY_SWITCH inline void leave_here_for(g* self, runnable r,
                                                                      bool dead) noexcept {
  m& here = *self->m;
  if (here.locked != nullptr) [[unlikely]]
    return leave_locked(here, self, dead);
  leave_unlocked(here, self, r, dead);
}

/// leave(), in the caller's own frame.
[[gnu::always_inline]] GORT_LEFT_BY_SWITCH inline void leave_here(g* self) noexcept {
  m& here = *self->m;
  if (here.locked != nullptr) [[unlikely]]
    return leave_locked(here, self, false);
  p* mine = here.p_on_entry();
  if (mine == nullptr) [[unlikely]]
    mine = p_for_sure(here);
  // Without a P: g0 finds one for this M, if there is anything for it to do.
  leave_unlocked(here, self, mine == nullptr ? 0 : pick(*mine), false);
}

}  // namespace gort::sched
