// Announced blocking: the P is given away before the thread blocks, or taken while it does. What
// the thread then is: hand_off.cpp.
//
// Problem: to give a P away and get one back costs some microseconds, as much as a short call
// takes; to keep it for a long one holds up the others until sysmon looks. Which it will be is not
// said.
//
// So it is guessed from the last calls made at the same place in the program: a call that lost its
// P to sysmon was long, and the next one gives it away at once; two in a row that were over before
// 20 us had passed were short, and the next one keeps it. The clock is read only by those that give
// it away. (Go keeps the P always.)
//
// That it is in such a call belongs to the goroutine, not to the thread: f may park, and go on on
// another one; and may make such calls itself.
#include <gort/blocking.hpp>
#include <gort/debug.hpp>

#include "os/clock.hpp"
#include "os/preempt.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/seams.hpp"
#include "sched/switching/schedule.hpp"
#include "sched/taking/hand_off.hpp"
#include "sched/taking/strays.hpp"

namespace gort::detail {

using namespace gort::sched;

namespace {

constexpr std::int64_t short_ns = 20'000;
constexpr std::size_t places = 256;
constexpr std::uint8_t surely_long = 3, probably_long = 2;

// By a hash of the place; a guess, so that collisions and lost updates do no harm.
atomic<std::uint8_t> guesses[places];

atomic<std::uint8_t>& guess_at(const void* place) noexcept {
  constexpr std::uint64_t golden = 0x9e3779b97f4a7c15u;
  constexpr int top_byte = 56;
  return guesses[(reinterpret_cast<std::uintptr_t>(place) * golden) >> top_byte];
}

void learn(const blocking_call& call, bool has_p) noexcept {
  atomic<std::uint8_t>& guess = guess_at(call.place);
  if (call.given_away_ns == 0) {  // kept
    if (!has_p) guess.store_relaxed(surely_long);
    return;
  }
  const std::uint8_t before = guess.load_relaxed();
  if (os::monotonic_ns() - call.given_away_ns >= short_ns)
    guess.store_relaxed(surely_long);
  else if (before != 0)
    guess.store_relaxed(static_cast<std::uint8_t>(before - 1));
}

}  // namespace

blocking_call begin_blocking() noexcept {
  blocking_call call{__builtin_return_address(0), 0};
  g* self = arch::load_current_g();
  if (self == nullptr || self->kind != g_kind::goroutine) return call;
  inside_gort inside;
  m& here = *self->m;
  self->announced.store_relaxed(self->announced.load_relaxed() + 1);  // a hint to sysmon
  seam::begins_syscall(*self);
  self->waiting_since_ns.store_relaxed(sched::sched.coarse_now_ns.load_relaxed());  // for dumps
  p* mine = here.p_on_entry();
  if (mine == nullptr) {
    sched::sched.announced_elsewhere.fetch_add_relaxed(1);  // a statistic
    return call;
  }
  mine->announced_calls.store_relaxed(mine->announced_calls.load_relaxed() + 1);
  if (guess_at(call.place).load_relaxed() < probably_long) return call;
  // Later sysmon could not take the P from this thread while it computes, were there no barrier.
  if (!others_wait(*mine) && os::fences_running_threads()) return call;
  wake_up next;
  bool wake_starter = false;
  {
    spin_guard guard(sched::sched.lock);
    if (sched::sched.stop_requested.load_relaxed() != 0) return call;
    if (m* sleeper = pop_idle_m_locked(next); sleeper != nullptr) {
      let_go_of_p_locked(here);
      add_stray_locked(here);
      hold_locked(*sleeper, *mine);
      sched::sched.given_away.fetch_add_relaxed(1);  // a statistic
    } else {
      wake_starter = want_m_locked();
    }
  }
  if (wake_starter) wake_starter_thread();
  if (next.who != nullptr) {
    call.given_away_ns = os::monotonic_ns();
    next.now();
  }
  return call;
}

void end_blocking(const blocking_call& call) noexcept {
  g* self = arch::load_current_g();
  if (self == nullptr || self->kind != g_kind::goroutine) return;
  inside_gort inside;
  self->announced.store_relaxed(self->announced.load_relaxed() - 1);  // a hint to sysmon
  const bool has_p = self->m->p_on_entry() != nullptr;
  if (!has_p || call.given_away_ns != 0) [[unlikely]]
    learn(call, has_p);
  if (!has_p) regain_p(self);
  seam::ends_syscall(*self);
}

}  // namespace gort::detail

namespace gort::debug {

scheduler_counts read_scheduler_counts() noexcept {
  scheduler_counts now;
  now.announced_blocking = sched::sched.announced_elsewhere.load_relaxed();
  const int procs = sched::sched.p_allocated.load_acquire();  // pairs with allocate_procs()
  for (int i = 0; i < procs; ++i)
    now.announced_blocking += sched::sched.all_ps[i]->announced_calls.load_relaxed();
  now.unannounced_blocking = sched::sched.unannounced_blocking.load_relaxed();
  now.preemptions = sched::sched.preemptions.load_relaxed();
  detail::spin_guard guard(sched::sched.lock);
  now.threads = sched::sched.m_count;
  now.threads_in_place = sched::sched.in_place.size;
  return now;
}

}  // namespace gort::debug
