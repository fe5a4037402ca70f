// How many Ps there should be, by default and over time: the rule is in src/os/cpu_limit.hpp.
#pragma once

#include <cstdint>

namespace gort::sched {

/// GOMAXPROCS from the environment, else the default; called once, at start.
int initial_proc_count() noexcept;

/// The program has chosen and will set it: no automatic updates from now on.
void fix_proc_count(int procs) noexcept;

/// Automatic updates again; returns the default as of now.
int unfix_proc_count() noexcept;

/// sysmon: at most once a second looks whether the default has changed, and if so starts a
/// goroutine that changes the number of Ps.
void follow_container_limit(std::int64_t now_ns, std::int64_t& last_checked_ns) noexcept;

}  // namespace gort::sched
