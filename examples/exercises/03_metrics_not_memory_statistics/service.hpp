// What is watched: the guide's program, which keeps some thousand blocks of 64 KiB and drops them
// all, beside connections that wait and a goroutine that wants to run each millisecond.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/metrics.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "measure.hpp"

namespace exercise {

using namespace std::chrono_literals;

class service {
 public:
  service() {
    for (int i = 0; i < connections; ++i) all_.go([this] { over_.recv(); });
    all_.go([this] { keep_blocks(); });
    all_.go([this] { tick(); });
  }

  /// Once. How late the goroutine that wants to run each millisecond was, in ms.
  std::vector<double>& stop() {
    over_.close();
    all_.wait();
    return late_ms_;
  }

 private:
  static constexpr int connections = 2000, blocks_max = 2000;

  // True: it is over.
  bool rest(std::chrono::nanoseconds longest) { return over_.recv_for(longest).closed(); }

  void keep_blocks() {
    std::vector<std::unique_ptr<char[]>> data;
    while (!rest(100us)) {
      data.push_back(std::make_unique<char[]>(std::size_t{1} << 16));
      if (data.size() > blocks_max) data.clear();
    }
  }

  void tick() {
    for (;;) {
      const stopwatch watch;
      if (rest(1ms)) return;
      late_ms_.push_back(watch.ms() - 1);
    }
  }

  gort::chan<gort::unit> over_ = gort::make_chan<gort::unit>();
  gort::wait_group all_;
  std::vector<double> late_ms_;
};

/// Stops of the world so far.
inline gort::metrics::float64_histogram stops() {
  std::vector<gort::metrics::sample> s{{"/sched/pauses/total/other:seconds"}};
  gort::metrics::read(s);
  return s[0].value.float64_histogram();
}

/// Runs the service while `look` is called `polls` times, and prints what that did to it.
template <class Look>
void watch_service(Look look) {
  constexpr int polls = 300;
  service watched;
  gort::sleep(20ms);
  const auto before = stops();
  std::uint64_t heap_bytes = 0;
  double look_ms = 0;
  for (int i = 0; i < polls; ++i) {
    const stopwatch watch;
    heap_bytes = look();
    look_ms += watch.ms();
    gort::sleep(2ms);
  }
  const auto during = stops().since(before);
  std::vector<double>& late = watched.stop();
  const bool stopped = during.total() != 0;
  report()
      .add("polls", polls)
      .add("stops", static_cast<double>(during.total()))
      .add("median_stop_us", stopped ? 1e6 * during.percentile(0.5) : 0)
      .add("longest_stop_us", stopped ? 1e6 * during.percentile(1) : 0)
      .add("look_us", 1e3 * look_ms / polls)
      .add("late_p99_us", 1e3 * quantile(late, 0.99))
      .add("heap_mib", static_cast<double>(heap_bytes) / (1 << 20))
      .print();
}

}  // namespace exercise
