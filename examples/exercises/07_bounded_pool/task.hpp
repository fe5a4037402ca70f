// The tasks of both programs, and what they cost without any goroutine.
#pragma once

#include <gort/runtime.hpp>

#include "measure.hpp"

namespace exercise {

inline constexpr int tasks = 200'000;

inline void task() {
  std::uint64_t sum = busy(1000);
  keep(sum);
}

/// Prints the measurement; first times the tasks alone: what no scheduler can go below.
inline void report_tasks(double elapsed_ms) {
  const double peak_mib = peak_rss_mib();
  constexpr int sample = tasks / 10;
  const stopwatch watch;
  for (int i = 0; i < sample; ++i) task();
  const double task_ns = watch.ms() * 1e6 / sample;
  const int procs = gort::runtime::gomaxprocs(0);
  report()
      .add("elapsed_ms", elapsed_ms)
      .add("peak_rss_mib", peak_mib)
      .add("gomaxprocs", procs)
      .add("task_ns", task_ns)
      .add("ideal_ms", task_ns * tasks / 1e6 / procs)
      .print();
}

}  // namespace exercise
