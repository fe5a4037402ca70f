// What is investigated: a service that wants to answer each millisecond, and gets a batch of small
// jobs twenty times a second.
#pragma once

#include <chrono>
#include <fstream>
#include <string_view>

#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/metrics.hpp>
#include <gort/time.hpp>
#include <gort/trace.hpp>
#include <gort/wait_group.hpp>

#include "measure.hpp"

namespace exercise {

using namespace std::chrono_literals;

constexpr int jobs_per_batch = 20'000;
constexpr auto batch_each = 50ms;

/// Some microseconds.
inline void job() { busy(5'000); }

/// How long goroutines were runnable before they ran, so far.
inline gort::metrics::float64_histogram latencies() {
  std::vector<gort::metrics::sample> s{{"/sched/latencies:seconds"}};
  gort::metrics::read(s);
  return s[0].value.float64_histogram();
}

template <class Batch>
void serve(int batches, Batch batch) {
  for (int i = 0; i < batches; ++i) {
    const stopwatch watch;
    batch();
    const auto left = batch_each - std::chrono::duration<double, std::milli>(watch.ms());
    if (left > 0s) gort::sleep(std::chrono::duration_cast<std::chrono::nanoseconds>(left));
  }
}

/// Measures the latencies while `batch()` does a batch now and then, then takes a trace of some
/// batches more; into the file that the command line names, if it names one. Prints what was found.
template <class Batch>
void investigate(int argc, char** argv, Batch batch) {
  constexpr int measured_batches = 20, traced_batches = 4;
  auto over = gort::make_chan<gort::unit>();
  gort::wait_group others;
  others.go([&] {
    while (!over.recv_for(1ms).closed()) {
    }
  });
  serve(1, batch);
  const auto before = latencies();
  const stopwatch watch;
  serve(measured_batches, batch);
  const double elapsed_ms = watch.ms();
  const auto during = latencies().since(before);

  std::ofstream file;
  if (argc > 1) file.open(argv[1], std::ios::binary);
  gort::trace::start([&](std::string_view bytes) {
    if (file.is_open()) file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  });
  serve(traced_batches, batch);
  const gort::trace::counts how = gort::trace::stop();
  over.close();
  others.wait();
  constexpr double second_us = 1e6;
  report()
      .add("p99_us", second_us * during.percentile(0.99))
      .add("p50_us", second_us * during.percentile(0.5))
      .add("elapsed_ms", elapsed_ms)
      .add("events", static_cast<double>(how.events))
      .add("lost_events", static_cast<double>(how.lost_events))
      .print();
}

}  // namespace exercise
