#include <gort/ops/cpu_quota.hpp>

#include <algorithm>
#include <cmath>
#include <memory>

#include <gort/runtime.hpp>

#include "os/affinity.hpp"
#include "os/cgroup.hpp"

namespace gort::ops {

std::optional<double> cpu_quota() {
  const auto reader = std::make_unique<os::cpu_quota_reader>();  // large for a goroutine's stack
  const double cpus = reader->read();
  return cpus > 0 ? std::optional(cpus) : std::nullopt;
}

int set_gomaxprocs_from_quota(int at_least) {
  const std::optional<double> quota = cpu_quota();
  if (!quota || *quota >= os::cpus_allowed()) return runtime::gomaxprocs(0);
  const int wanted = std::max(at_least, static_cast<int>(std::ceil(*quota)));
  runtime::gomaxprocs(wanted);
  return wanted;
}

}  // namespace gort::ops
