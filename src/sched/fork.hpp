// The child of a fork().
#pragma once

#include <gort/detail/inside.hpp>

namespace gort::sched {

/// At the start of the runtime: children forked from now on cannot use gort.
void watch_for_fork() noexcept;
bool in_forked_child() noexcept;
/// At exit(): true in a forked child, where destructors may then touch what is theirs without being
/// told off.
bool leave_forked_child_alone() noexcept;

}  // namespace gort::sched
