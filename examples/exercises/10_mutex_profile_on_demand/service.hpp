// What the service does, and what a setting of the mutex profile costs it.
#pragma once

#include <algorithm>
#include <mutex>
#include <string>
#include <string_view>

#include <gort/go.hpp>
#include <gort/mutex.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/wait_group.hpp>

#include "cpu_profile_reader.hpp"
#include "measure.hpp"

namespace exercise {

struct table {
  gort::mutex lock;
  std::uint64_t rows = 0;  // guarded by lock
};

/// Holds the lock across something that lets others run, as services do that log or send there: so
/// whoever comes meanwhile has to wait.
[[gnu::noinline]] inline void update(table& t) {
  const std::lock_guard held(t.lock);
  t.rows += busy(200);
  gort::runtime::gosched();
}

/// A request: some microseconds of its own, and the table.
inline void serve_requests(table& t, int requests) {
  for (int i = 0; i < requests; ++i) {
    std::uint64_t sum = busy(4000);
    keep(sum);
    update(t);
  }
}

/// Requests by eight goroutines for so much CPU time; how many.
inline int serve_for(table& t, double ms) {
  constexpr int goroutines = 8, requests = 200;
  int served = 0;
  for (const double end = cpu_ms() + ms; cpu_ms() < end; served += goroutines * requests) {
    gort::wait_group all;
    for (int i = 0; i < goroutines; ++i) all.go([&] { serve_requests(t, requests); });
    all.wait();
  }
  return served;
}

struct cost {
  double request_us;  // of CPU time
  double percent;     // of the CPU time, spent in recording
};

/// Of one in `fraction` events recorded; 0: none. By a CPU profile.
inline cost cost_of(int fraction, table& t) {
  std::string packed;
  gort::runtime::set_mutex_profile_fraction(fraction);
  gort::pprof::set_cpu_profile_rate(1000);
  const double before_ms = cpu_ms();
  gort::pprof::start_cpu_profile([&](std::string_view piece) { packed += piece; });
  const int served = serve_for(t, 1500);
  gort::pprof::stop_cpu_profile();
  const double request_us = 1e3 * (cpu_ms() - before_ms) / served;
  gort::runtime::set_mutex_profile_fraction(0);
  double all_ns = 0, recording_ns = 0;
  for (const cpu_sample& each : cpu_profile_reader(packed).samples()) {
    const auto cpu_ns = static_cast<double>(each.cpu_ns);
    all_ns += cpu_ns;
    if (std::ranges::count(each.functions, "gort::sched::note_unlocking") != 0)
      recording_ns += cpu_ns;
  }
  return {request_us, all_ns > 0 ? 100 * recording_ns / all_ns : 0};
}

}  // namespace exercise
