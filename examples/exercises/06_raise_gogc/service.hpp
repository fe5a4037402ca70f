// The service: records in memory, and requests that come at a fixed rate whatever the answers take.
// Each allocates, replaces a record, and computes.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <gort/gc.hpp>
#include <gort/go.hpp>
#include <gort/metrics.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "measure.hpp"

namespace exercise {

struct record {
  gort::gc::ptr<char> text;
  std::uint64_t key = 0, uses = 0;
};
struct header {
  header() noexcept {}  // the text as it comes: zeroed
  gort::gc::ptr<header> next;
  char text[56];
};

}  // namespace exercise

template <>
inline constexpr bool gort::gc::needs_no_destructor<exercise::record> = true;
template <>
inline constexpr bool gort::gc::needs_no_destructor<exercise::header> = true;

namespace exercise {

/// What the metrics have counted so far.
struct counted {
  double collector_s = 0, all_s = 0, idle_s = 0;  // CPU time; all that there was to use
  double cycles = 0;
  std::chrono::steady_clock::time_point at;

  static counted now() {
    std::vector<gort::metrics::sample> s{{"/cpu/classes/gc/total:cpu-seconds"},
                                         {"/cpu/classes/total:cpu-seconds"},
                                         {"/cpu/classes/idle:cpu-seconds"},
                                         {"/gc/cycles/total:gc-cycles"}};
    gort::metrics::read(s);
    return {s[0].value.float64(), s[1].value.float64(), s[2].value.float64(),
            static_cast<double>(s[3].value.uint64()), std::chrono::steady_clock::now()};
  }
};

/// What some time of serving has shown.
struct served {
  double gc_percent = 0, idle_percent = 0;  // of CPU time
  double cycles_per_s = 0;
  double requests_per_s = 0;
  double p999_ms = 0, worst_ms = 0;  // from when a request came until its answer was there
};

class service {
 public:
  explicit service(double live_bytes)
      : workers_(static_cast<std::size_t>(gort::runtime::gomaxprocs(0))),
        each_(static_cast<std::size_t>(live_bytes / record_bytes) / workers_),
        records_(gort::gc::make_array<gort::gc::ptr<record>>(workers_ * each_)) {
    for (std::size_t i = 0; i < workers_ * each_; ++i) at(i) = make_record(i);
  }

  /// Requests come so often.
  double rate_per_s = 50'000;

  /// Serves until so many collections have ended after one that does not count: the share of a part
  /// of one would be anything.
  served serve(int cycles) {
    return serve_while([cycles] {
      const counted first = when_cycle_ends(counted::now().cycles + 1);
      return std::pair(first, when_cycle_ends(first.cycles + cycles));
    });
  }
  served serve(std::chrono::milliseconds time) {
    return serve_while([time] {
      const counted first = counted::now();
      gort::sleep(time);
      return std::pair(first, counted::now());
    });
  }

  static constexpr int headers = 16;
  static constexpr std::size_t body_bytes = 16384, text_bytes = 96;
  static constexpr double record_bytes = sizeof(void*) + sizeof(record) + text_bytes;
  static constexpr double request_bytes =
      headers * sizeof(header) + body_bytes + sizeof(record) + text_bytes;
  static constexpr std::uint64_t additions = 4000;  // what a request computes

 private:
  // In tenths of a millisecond; what is above is in the last.
  using histogram = std::array<std::uint32_t, 10'000>;
  static constexpr double bucket_ms = 0.1;

  struct worker {
    std::uint64_t requests = 0;
    histogram took{};
    double worst_ms = 0;
  };

  gort::gc::ptr<record>& at(std::size_t i) { return records_[static_cast<std::ptrdiff_t>(i)]; }

  static gort::gc::ptr<record> make_record(std::uint64_t key) {
    auto made = gort::gc::make<record>();
    made->text = gort::gc::make_array<char>(text_bytes);
    made->text[0] = static_cast<char>(key);
    made->key = key;
    return made;
  }

  // Headers, a body, a record that takes another's place.
  void answer(std::size_t key) {
    gort::gc::ptr<header> first;
    for (int i = 0; i < headers; ++i) {
      auto made = gort::gc::make<header>();
      made->next = std::move(first);
      first = std::move(made);
    }
    const auto body = gort::gc::make_array<char>(body_bytes);
    auto& slot = at(key);
    ++slot->uses;
    busy(additions);
    body[0] = slot->text[0];
    slot = make_record(slot->key);
  }

  // Each millisecond the requests of a millisecond come.
  void serve_as(std::size_t which, worker& into, const std::atomic<bool>& stop) {
    using clock = std::chrono::steady_clock;
    const double per_ms = rate_per_s / 1e3 / static_cast<double>(workers_);
    std::uint64_t random = which + 1;
    double due = 0;
    for (auto come = clock::now(); !stop.load(std::memory_order_relaxed);
         come += std::chrono::milliseconds(1)) {
      if (come > clock::now()) gort::sleep_until(come);
      for (due += per_ms; due >= 1; --due) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        answer(which * each_ + random % each_);
        const double ms = std::chrono::duration<double, std::milli>(clock::now() - come).count();
        ++into.took[std::min(static_cast<std::size_t>(ms / bucket_ms), into.took.size() - 1)];
        into.worst_ms = std::max(into.worst_ms, ms);
        ++into.requests;
      }
    }
  }

  static counted when_cycle_ends(double number) {
    for (;;) {
      const counted out = counted::now();
      if (out.cycles >= number) return out;
      gort::sleep(std::chrono::milliseconds(1));
    }
  }

  template <class Watch>
  served serve_while(Watch watch) {
    std::atomic<bool> stop = false;
    std::vector<worker> all(workers_);
    gort::wait_group serving;
    const stopwatch time;
    for (std::size_t i = 0; i < workers_; ++i)
      serving.go([this, i, &all, &stop] { serve_as(i, all[i], stop); });
    const auto [first, last] = watch();
    stop.store(true, std::memory_order_relaxed);  // a flag of its own
    serving.wait();
    const double seconds = time.ms() / 1e3;
    served out;
    const double all_s = last.all_s - first.all_s;
    out.gc_percent = 100 * (last.collector_s - first.collector_s) / all_s;
    out.idle_percent = 100 * (last.idle_s - first.idle_s) / all_s;
    out.cycles_per_s =
        (last.cycles - first.cycles) / std::chrono::duration<double>(last.at - first.at).count();
    double requests = 0;
    for (const worker& each : all) {
      requests += static_cast<double>(each.requests);
      out.worst_ms = std::max(out.worst_ms, each.worst_ms);
    }
    out.requests_per_s = requests / seconds;
    out.p999_ms = slowest_but(requests / 1000, all);
    return out;
  }

  static double slowest_but(double left, const std::vector<worker>& all) {
    std::size_t bucket = all[0].took.size();
    while (left > 0 && bucket > 0) {
      --bucket;
      for (const worker& each : all) left -= each.took[bucket];
    }
    return static_cast<double>(bucket + 1) * bucket_ms;
  }

  std::size_t workers_, each_;
  gort::gc::ptr<gort::gc::ptr<record>> records_;
};

}  // namespace exercise
