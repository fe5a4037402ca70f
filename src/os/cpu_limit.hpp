// The rule that turns CPUs and a quota into a default GOMAXPROCS; Go 1.25's, with every ancestor's
// limit counted (src/os/cgroup.hpp).
#pragma once

namespace gort::os {

/// min(cpus_allowed, max(2, ceil(quota))) where there is a quota (> 0), else cpus_allowed. So a
/// quota below 2 still gives two Ps where two CPUs are allowed: one may wait in the kernel.
constexpr int procs_for(int cpus_allowed, double quota_cpus) noexcept {
  if (quota_cpus <= 0 || quota_cpus >= cpus_allowed) return cpus_allowed;
  int rounded = static_cast<int>(quota_cpus);
  if (rounded < quota_cpus) ++rounded;
  if (rounded < 2) rounded = 2;
  return rounded < cpus_allowed ? rounded : cpus_allowed;
}

}  // namespace gort::os
