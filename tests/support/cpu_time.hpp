// What the process, or a thread, has used of CPUs: to tell waiting from looking again and again.
#pragma once

#include <chrono>
#include <ctime>

namespace gort::test {

inline std::chrono::nanoseconds cpu_used(clockid_t by_whom = CLOCK_PROCESS_CPUTIME_ID) {
  timespec used{};
  clock_gettime(by_whom, &used);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}
inline std::chrono::nanoseconds thread_cpu_used() { return cpu_used(CLOCK_THREAD_CPUTIME_ID); }

}  // namespace gort::test
