// Choosing the next G, and g0's loop. Switching to it: switch.hpp. Whose turn it is: turns.hpp.
#include "sched/switching/schedule.hpp"

#include <utility>

#include "arch/context.hpp"
#include "arch/pause.hpp"
#include "os/clock.hpp"
#include "os/thread.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/seams.hpp"
#include "sched/stacks/stack_trim.hpp"
#include "sched/switching/switch.hpp"

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
    const auto& size = which == shared::in_place ? sched.in_place_size : sched.global_size;
    if (size.load_relaxed() == 0) return 0;  // [proc-3]
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

[[gnu::noinline]] void wait_for_trim(g& to) noexcept {
  end_trim_claim(to.trim, [round = 0u]() mutable { os::give_way(round++); });
}

[[gnu::noinline]] void swap_exceptions(exception_globals& here, g& self, g& to) noexcept {
  self.caught_exceptions = here.caught;
  self.uncaught_exceptions = here.uncaught;
  here.caught = std::exchange(to.caught_exceptions, nullptr);
  here.uncaught = std::exchange(to.uncaught_exceptions, 0);
}

[[gnu::noinline]] GORT_LEFT_BY_SWITCH void switch_told(m& here, g* self, g* to,
                                                       left_as how) noexcept {
  seam::tell_switch_and_start(here, *self, *to);
  load_context<true>(here, self, to, how);
}

// The next context is always g0.
[[gnu::noinline]] GORT_LEFT_BY_SWITCH void leave_locked(m& here, g* self, bool dead) noexcept {
  if (here.p_on_entry() == nullptr) (void)p_for_sure(here);
  left_as how = left_as::locked;
  if (dead || self->os_thread_locks.load_relaxed() == 0) {  // the latter: [lock-4]
    how = dead ? left_as::dead : left_as::saved;
    here.ends = true;
  }
  switch_to(here, self, &here.g0, how);
}

[[gnu::noinline]] void finish_rare_switch(m& here) noexcept {
  if (std::exchange(here.previous_is, left_as::saved) == left_as::dead)
    release_stack(*here.held, here.previous);
}

GORT_LEFT_BY_SWITCH void leave_for(g* self, runnable r, bool dead) noexcept {
  leave_here_for(self, r, dead);
}

GORT_LEFT_BY_SWITCH void leave(g* self) noexcept { leave_here(self); }

namespace {

// g0's turn on an M that serves one goroutine only [lock-2]: its goroutine has left. Null: the
// thread is to leave the scheduler.
g* next_of_locked(m& here) noexcept {
  if (here.ends) return nullptr;
  sleep_until_handed_over(here);
  return here.locked;
}

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
