/// The container's CPU limit, for programs that size themselves.
#pragma once

#include <optional>

namespace gort::ops {

/// CPUs that the control groups of this process allow (e.g. 2.5): the smallest limit of its group
/// and all above it, version 1 or 2; nothing where there is no limit. Reads files. Any thread.
///
/// gort's default GOMAXPROCS already follows it, but as Go's never below 2; see
/// set_gomaxprocs_from_quota().
std::optional<double> cpu_quota();

/// Sets GOMAXPROCS to the quota rounded up, but at least `at_least`, and returns the new value.
/// Without a quota, or where it exceeds the CPUs, it leaves GOMAXPROCS as it is. Stops the world.
/// Go: automaxprocs.
int set_gomaxprocs_from_quota(int at_least = 1);

}  // namespace gort::ops
