// The child of a fork(): asked about on all floors, defined in src/sched/world.
#pragma once

#include <gort/detail/inside.hpp>

namespace gort::sched {

/// At the start of the runtime: children forked from now on cannot use gort.
void watch_for_fork() noexcept;
bool in_forked_child() noexcept;
/// The thread that forked is about to run the handlers of exit(), or ends: see there.
void prepare_exit_of_forked_child() noexcept;
/// In a forked child that runs the handlers of exit().
bool forked_child_exits() noexcept;

}  // namespace gort::sched
