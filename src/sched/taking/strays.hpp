// Threads in user code without a P; see strays.cpp.
#pragma once

#include "sched/gmp/proc.hpp"

namespace gort::sched {

/// This M has lost its P in user code.
void add_stray_locked(m& who) noexcept;
/// It has entered gort, or is parked in place. Nothing if it is none.
void drop_stray_locked(m& who) noexcept;
bool have_strays_locked() noexcept;

/// sysmon: interrupts those that compute for long. True: some have, since the last
/// look, and not in blocking().
bool watch_strays() noexcept;

/// A stop of the world: interrupts those that compute. True: none does.
bool strays_rest_locked() noexcept;
/// All are parked in place: none is asleep in a library's call.
bool strays_are_stopped_locked() noexcept;
/// Those that a stop of the world has parked go on. The Ms, linked by idle_next before `others`,
/// must be woken.
m* resume_strays_locked(m* others) noexcept;

}  // namespace gort::sched
