// What the process has used of all CPUs: to tell waiting from looking again and again.
#pragma once

#include <chrono>
#include <ctime>

namespace gort::test {

inline std::chrono::nanoseconds cpu_used() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

}  // namespace gort::test
