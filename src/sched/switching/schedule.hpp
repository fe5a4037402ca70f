// What the files of this floor, and those above it, need of each other; and what this floor asks of
// those above it (declared here, defined there).
#pragma once

#include <cstddef>
#include <memory>

#include "sched/gmp/census.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/proc.hpp"
#include "sched/gmp/seams.hpp"
#include "stack/slots.hpp"

namespace gort::sched {

runnable pick_slow(p& here) noexcept;  // a poll, or what asks for attention
runnable pick_turn(p& here) noexcept;  // on g0 [turn-1]

/// The next to run on this P; never blocks; 0 if there is none.
template <turns::whose_turn Next = turns::whose_turn::either>
[[gnu::always_inline]] inline runnable pick(p& here) noexcept {
  here.tick.store_relaxed(here.tick.load_relaxed() + 1);  // only the holder writes it
  if (--here.picks_left == 0 || here.attention.load_relaxed() != 0) [[unlikely]]
    return pick_slow(here);
  return turns::pick_quick<Next>(here);
}

void displace(p& here, runnable old) noexcept;  // queues.cpp
/// What was next goes to the tail.
[[gnu::always_inline]] inline void push_next(p& here, runnable r) noexcept {
  if (const runnable old = here.queue.set_next(r); old != 0) [[unlikely]]
    displace(here, old);
  else if (here.eager_wake.load_relaxed() != 0) [[unlikely]]  // a hint from sysmon
    wake_if_idle();
}

/// Runs something else; returns when `self` is resumed. `self` must be findable by its waker.
void leave(g* self) noexcept;

/// The same with the next one already picked (0: let g0 look). dead: `self` has ended, its stack is
/// recycled, and this does not return.
void leave_for(g* self, runnable next, bool dead) noexcept;

/// park() and ready() for plain threads (src/sched/threads/thread_g.cpp).
void park_thread(g* self, wait_reason why) noexcept;
void ready_thread(g* target) noexcept;

// src/sched/switching/idle.cpp, for stopping and starting the world.
void hold_locked(m& who, p& what) noexcept;
/// The same for the calling thread's M.
inline void take_up_locked(m& here, p& what) noexcept {
  hold_locked(here, what);
  seam::p_started(here, what);
}
/// The P of the calling thread's M is about to go elsewhere.
inline void let_go_of_p_locked(m& here) noexcept {
  seam::p_stopped_locked(here, *here.held);
  here.hold_none();
}
void push_idle_p_locked(p& what) noexcept;
p* pop_idle_p_locked() noexcept;  // null if there is none
/// Sleeps until somebody hands this M a P [idle-2], or the M is to end.
void sleep_without_p(m& here) noexcept;
/// The same in two steps: from the first on whoever looks for a sleeping M finds this one.
struct sleep_plan {
  std::int64_t deadline_ns = -1;
  bool polling = false;
  bool reaped = false;  // the deadline is that of [idle-4]
};
sleep_plan lie_down_locked(m& here) noexcept;
void sleep_as_planned(m& here, sleep_plan plan) noexcept;
/// Takes an idle P if there is one and the world is not being stopped.
bool try_reacquire(m& here) noexcept;
/// What the taker of a sleeping M does once it has released sched.lock.
struct wake_up {
  m* who = nullptr;
  bool polling = false;
  void now() const noexcept;
};
/// Takes a sleeping M off the list; null if there is none. It must be given a P and be woken.
m* pop_idle_m_locked(wake_up& how) noexcept;

// Defined in src/sched/taking.
/// g0: gives this M's P to the thread that `to` waits on, and sleeps until it gets another.
void hand_over(m& here, g* to) noexcept;
/// This M's P, or null, where p_on_entry() has found none [hand-1].
p* p_for_sure(const m& here) noexcept;
/// g0 without a P: gets one; may sleep.
void find_p(m& here) noexcept;
/// On a goroutine that found none on entry. True: others have run meanwhile, it may be on another
/// M.
bool regain_p(g* self) noexcept;
/// After each change of the lists that global_size counts.
void count_global_locked() noexcept;
/// The next of the global queue and of those in place, in turn, or of one of them; 0 if there is
/// none.
runnable pop_global_locked(shared which) noexcept;
/// Where an idle P has no M to come: the oldest in place gets it, and its note must be woken
/// [threads-7]. Null: there is none, or the world is being stopped.
m* resume_on_idle_p_locked() noexcept;

// Defined in src/sched/world.
/// One P fewer to wait for.
void one_stopped_locked() noexcept;

// Defined in src/sched/threads.
/// g0 of an M that serves one goroutine only: gives its P away and sleeps until somebody has picked
/// that goroutine and given it a P.
void sleep_until_handed_over(m& here) noexcept;
/// Asks for one more M unless one is coming; true: wake_starter_thread() must follow, without the
/// lock. A new M takes an idle P or sleeps; if more work waits it asks for the next.
bool want_m_locked() noexcept;
/// What the system has last been found to allow, or no_thread_limit [threads-7].
std::int64_t threads_to_be_had_locked() noexcept;
/// A new M's first look for a P, in the same section as that. True: it was the first; then
/// wake_sysmon() must follow, without the lock [threads-5].
bool has_come_locked(m& here) noexcept;
void wake_starter_thread() noexcept;
void starter_main(void*) noexcept;
/// [threads-4]. Does not return if there are too many.
void check_thread_count(std::uint32_t existing, std::int64_t limit) noexcept;
/// The end of the process, with Go's words.
[[noreturn]] void cannot_start_thread(std::uint32_t existing, int error) noexcept;

/// What go_options ask for.
struct extra_deleter {
  void operator()(detail::spawn_extra* extra) const noexcept {
    delete[] extra->name;
    delete extra;
  }
};
using owned_extra = std::unique_ptr<detail::spawn_extra, extra_deleter>;

/// Gives back the references that a G holds; not inside gort. src/sched/switching/spawn.cpp
void drop_labels(g& self) noexcept;

/// The P that this thread holds, on the way into gort; null on a plain thread too.
inline p* held_p() noexcept {
  m* here = current_m();
  return here == nullptr ? nullptr : here->p_on_entry();
}

/// The part of a goroutine's slot above its guard and below its g.
inline std::size_t stack_usable_bytes(const g& goroutine) noexcept {
  return static_cast<std::size_t>(reinterpret_cast<const char*>(&goroutine) - goroutine.stack_low);
}

}  // namespace gort::sched
