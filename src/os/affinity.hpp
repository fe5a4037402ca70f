// Which CPUs the kernel lets this process use.
#pragma once

namespace gort::os {

/// CPUs in the affinity mask now; at least 1.
int cpus_allowed() noexcept;

}  // namespace gort::os
