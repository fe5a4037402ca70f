// The work of both programs: the guide's sixteen goroutines that compute, and beside them requests
// at a steady rate, whose latency tells what a throttled container feels like from outside.
#pragma once

#include <atomic>
#include <chrono>
#include <vector>

#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "measure.hpp"

namespace exercise {

inline void run_workload() {
  using namespace std::chrono_literals;
  using clock = std::chrono::steady_clock;
  constexpr int workers = 16;
  constexpr std::uint64_t iterations = 200'000'000;  // each
  // gort does not interrupt a loop; one that calls nothing of gort keeps its P. So it offers a turn
  // about every 50 us, both before and after.
  constexpr std::uint64_t iterations_per_turn = 100'000;
  constexpr auto request_period = 2ms;
  constexpr std::uint64_t iterations_per_request = 20'000;

  const stopwatch watch;
  gort::wait_group batch;
  for (int i = 0; i < workers; ++i) {
    batch.go([] {
      for (std::uint64_t done = 0; done < iterations; done += iterations_per_turn) {
        busy(iterations_per_turn);
        gort::runtime::gosched();
      }
    });
  }

  // Requests are due at fixed times whatever the answers take, so a stall is seen by each of those
  // that came during it.
  std::atomic<bool> stop = false;
  std::vector<double> latencies_ms;
  gort::wait_group generator;
  generator.go([&] {
    auto due = clock::now();
    // One goroutine for them all: a request that waits for the one before it has waited.
    while (!stop.load(std::memory_order_relaxed)) {
      due += request_period;
      gort::sleep_until(due);
      busy(iterations_per_request);
      const auto late = clock::now() - due;
      latencies_ms.push_back(std::chrono::duration<double, std::milli>(late).count());
    }
  });

  batch.wait();
  const double elapsed_ms = watch.ms();
  stop.store(true, std::memory_order_relaxed);  // a flag of its own
  generator.wait();
  report()
      .add("elapsed_ms", elapsed_ms)
      .add("gomaxprocs", gort::runtime::gomaxprocs(0))
      .add("cpu_ms", cpu_ms())
      .add("requests", static_cast<double>(latencies_ms.size()))
      .add("p50_ms", quantile(latencies_ms, 0.50))
      .add("p99_ms", quantile(latencies_ms, 0.99))
      .add("peak_rss_mib", peak_rss_mib())
      .print();
}

}  // namespace exercise
