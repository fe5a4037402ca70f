// Giving back the pages of stacks that nobody has; see stack_scavenge.cpp.
#pragma once

#include <cstdint>

#include <gort/detail/atomic.hpp>

namespace gort::sched {

/// What debug::free_os_memory() calls first, if there is more than stacks: the managed heap's. It
/// may park.
extern constinit detail::atomic<void (*)() noexcept> free_more_memory;

/// For sysmon, at each of its rounds: gives back a few, if that is due.
void scavenge_some_stacks(std::int64_t now_ns) noexcept;

/// When sysmon should call that next; -1: when it is woken.
std::int64_t scavenge_deadline_ns() noexcept;

}  // namespace gort::sched
