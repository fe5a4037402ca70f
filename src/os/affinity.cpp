#include "os/affinity.hpp"

#include <sched.h>
#include <unistd.h>

namespace gort::os {

int cpus_allowed() noexcept {
  // Fixed room for 65 536 CPUs: no allocation; the kernel refuses only masks that are too small.
  static constexpr int cpus_max = 1 << 16;
  cpu_set_t mask[cpus_max / (8 * sizeof(cpu_set_t))];
  if (sched_getaffinity(0, sizeof(mask), mask) == 0) {
    const int count = CPU_COUNT_S(sizeof(mask), mask);
    if (count > 0) return count;
  }
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? static_cast<int>(online) : 1;
}

}  // namespace gort::os
