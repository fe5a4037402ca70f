// What the scheduler's other files need of hand_off.cpp and preempt.cpp.
#pragma once

#include "sched/gmp/proc.hpp"
#include "sched/switching/schedule.hpp"

namespace gort::sched {

// src/sched/taking/in_place.cpp
void add_in_place_locked(m& who) noexcept;
/// From anywhere in the list. Somebody goes through with resuming it [hand-4].
void take_in_place_locked(m& who) noexcept;
m* pop_in_place_locked() noexcept;  // the oldest, or null
/// One that was taken off the list gets `what`; its note must be woken.
void resume_in_place_locked(m& who, p& what) noexcept;
/// For the P of one that is preempted: who has not started waits if there is a crowd [crowd-2].
/// True: only those in place may have this P [crowd-3].
bool hold_back_locked(p& mine) noexcept;
/// The oldest in place goes on without a P, for it may hold a lock that others cannot do without
/// [hand-6]. False: there is none. While the world is stopped only who has stopped it may: frames
/// of theirs are being looked at.
bool let_one_in_place_go(bool for_a_stop = false) noexcept;
/// One that was taken off the list goes on without a P; its note must be woken.
void let_go_locked(m& who) noexcept;

// src/sched/taking/hand_off.cpp
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
/// In the signal handler: gives the P away, if that goroutine is still at the turn that sysmon has
/// noticed, and sleeps until it gets one.
void park_in_place(m& here, std::uint32_t noticed_tick) noexcept;
/// Somebody could use this P if its goroutine let go of it. A hint.
inline bool others_wait(const p& here) noexcept {
  return here.queue.size() != 0 || here.queue.has_next() || here.nursery.size() != 0 ||
         sched.global_size.load_relaxed() != 0;
}

// src/sched/taking/preempt.cpp
void install_preemption() noexcept;
bool preemption_is_on() noexcept;
/// Asks the thread that holds `what` to park in place. Not if preemption is off.
void preempt(p& what, std::uint32_t noticed_tick) noexcept;
/// For a goroutine that computes for others' sake, not inside gort: if a timer of its P is due, or
/// somebody is queued there, it parks in place as if preempted now.
void give_way_to_due() noexcept;
/// Likewise, if anybody waits for a P.
void give_way_to_others() noexcept;

}  // namespace gort::sched
