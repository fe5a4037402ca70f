// After: GOMAXPROCS is the container's quota, rounded up. `after default` leaves it to gort's own
// default, which follows the quota too but, as Go's, never goes below 2.
#include <cstring>

#include <gort/ops/cpu_quota.hpp>

#include "workload.hpp"

int main(int argc, char** argv) {
  return gort::run([&] {
    const bool by_default = argc > 1 && std::strcmp(argv[1], "default") == 0;
    if (!by_default) gort::ops::set_gomaxprocs_from_quota();
    exercise::run_workload();
  });
}
