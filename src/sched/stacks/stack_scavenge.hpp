// Giving back the pages of stacks that nobody has; see stack_scavenge.cpp.
#pragma once

#include <cstdint>

namespace gort::sched {

/// For sysmon, at each of its rounds: gives back a few, if that is due.
void scavenge_some_stacks(std::int64_t now_ns) noexcept;

/// When sysmon should call that next; -1: when it is woken.
std::int64_t scavenge_deadline_ns() noexcept;

}  // namespace gort::sched
