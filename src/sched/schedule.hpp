// What the files of this room that end or start goroutines need of schedule.cpp.
#pragma once

#include <cstddef>

#include "sched/proc.hpp"
#include "stack/slots.hpp"

namespace gort::sched {

runnable pick_slow(p& here) noexcept;  // every 61st, and when something asked for attention

/// The next to run on this P; never blocks; 0 if there is none.
[[gnu::always_inline]] inline runnable pick(p& here) noexcept {
  here.tick.store_relaxed(here.tick.load_relaxed() + 1);  // only the holder writes it
  if (--here.picks_left == 0 || here.attention.load_relaxed() != 0) [[unlikely]]
    return pick_slow(here);
  if (runnable r = here.queue.take_next(); r != 0) return r;
  here.nursery_turn = !here.nursery_turn;
  if (here.nursery_turn) {
    if (runnable r = here.nursery.pop_newest(); r != 0) return r;
    return here.queue.pop();
  }
  if (runnable r = here.queue.pop(); r != 0) return r;
  return here.nursery.pop_newest();
}

/// Runs something else; returns when `self` is resumed. `self` must be findable by its waker.
void leave(g* self) noexcept;

/// The same with the next one already picked (0: let g0 look). dead: `self` has ended, its stack is
/// recycled, and this does not return.
void leave_for(g* self, runnable next, bool dead) noexcept;

/// park() and ready() for plain threads (src/sched/thread_g.cpp).
void park_thread(g* self, wait_reason why) noexcept;
void ready_thread(g* target) noexcept;

// src/sched/idle.cpp, for stopping and starting the world.
void hold_locked(m& who, p& what) noexcept;
void push_idle_p_locked(p& what) noexcept;
p* pop_idle_p_locked() noexcept;  // null if there is none
/// Sleeps until somebody hands this M a P [idle-2], or the M is to end.
void sleep_without_p(m& here) noexcept;
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

// src/sched/threads.cpp
/// Asks for one more M unless one is being made; true: wake_starter_thread() must follow, without
/// the lock. A new M takes an idle P or sleeps.
bool want_m_locked() noexcept;
bool want_ms_locked(std::uint32_t count) noexcept;  // so many more
void wake_starter_thread() noexcept;
void starter_main(void*) noexcept;
/// The end of the process, with Go's words.
[[noreturn]] void cannot_start_thread(std::uint32_t existing, int error) noexcept;

// src/sched/world.cpp
/// One P fewer to wait for.
void one_stopped_locked() noexcept;

/// The part of a goroutine's slot above its guard and below its g.
inline std::size_t stack_usable_bytes(const g& goroutine) noexcept {
  return static_cast<std::size_t>(reinterpret_cast<const char*>(&goroutine) - goroutine.stack_low);
}

}  // namespace gort::sched
