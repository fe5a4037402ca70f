// What the scheduler's other files need of hand_off.cpp and preempt.cpp.
#pragma once

#include "sched/proc.hpp"
#include "sched/schedule.hpp"

namespace gort::sched {

// src/sched/hand_off.cpp
/// After each change of the lists that global_size counts.
void count_global_locked() noexcept;
/// The next of the global queue and of those in place, in turn; 0 if there is none.
runnable pop_global_locked() noexcept;
/// For sysmon and stops of the world: takes the P of a thread that sleeps in the kernel and gives
/// it to an idle M, else to the oldest in place (or stops it).
enum class taking : std::uint8_t { done, later, inside };  // later: no M is free
taking take_p_of_blocked(p& what) noexcept;
/// What happened to a P that was passed on; wake() follows without the lock.
struct passed_on {
  wake_up next;
  m* resumed = nullptr;
  bool wake_starter = false;
  void wake() const noexcept;
};
/// A P whose M has let go of it: stopped if the world is being stopped, else given to an idle M, to
/// the oldest in place, or, with an M to come, put into the idle list.
void pass_on_locked(p& what, passed_on& how) noexcept;
/// g0: gives this M's P to the thread that `to` waits on, and sleeps until it gets another.
void hand_over(m& here, g* to) noexcept;
/// This M's P, or null, where p_on_entry() has found none [hand-1].
p* p_for_sure(const m& here) noexcept;
/// g0 without a P: gets one; may sleep.
void find_p(m& here) noexcept;
/// On a goroutine that found none on entry. True: others have run meanwhile, it may be on another
/// M.
bool regain_p(g* self) noexcept;
/// In the signal handler: gives the P away, if that goroutine is still at the turn that sysmon has
/// noticed, and sleeps until it gets one.
void park_in_place(m& here, std::uint32_t noticed_tick) noexcept;
/// The oldest in place goes on without a P, for it may hold a lock that others cannot do without
/// [hand-6]. False: there is none.
bool let_one_in_place_go() noexcept;

/// Somebody could use this P if its goroutine let go of it. A hint.
inline bool others_wait(const p& here) noexcept {
  return here.queue.size() != 0 || here.queue.has_next() || here.nursery.size() != 0 ||
         sched.global_size.load_relaxed() != 0;
}

// src/sched/preempt.cpp
void install_preemption() noexcept;
bool preemption_is_on() noexcept;
/// Asks the thread that holds `what` to park in place. Not if preemption is off.
void preempt(p& what, std::uint32_t noticed_tick) noexcept;

}  // namespace gort::sched
