// The guide's service, scaled to this machine: as much of its memory as there is, and requests at
// such a rate that with GOGC=100 the collector has the guide's share of the CPU.
#pragma once

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <vector>

#include <gort/debug.hpp>

#include "host.hpp"
#include "service.hpp"

namespace exercise {

constexpr double guides_most_bytes = 2e9, guides_percent = 18;

/// With GOGC=100 the heap of which this lives is the guide's 800 MB when a collection has ended:
/// what was allocated meanwhile is in it, too.
constexpr double of_800_mb_live_bytes = 200e6;

inline double live_bytes() {
  static const double bytes = host_scale() * of_800_mb_live_bytes;
  return bytes;
}
inline double scale() { return live_bytes() / of_800_mb_live_bytes; }
inline double most_bytes() { return scale() * guides_most_bytes; }

/// Leaves GOGC at 100. The collector's share goes by the rate, about.
inline void scale_rate(service& of) {
  gort::debug::set_gc_percent(100);
  constexpr int looks = 3, cycles = 2;
  for (int i = 0; i < looks; ++i) {
    const served out = of.serve(cycles);
    of.rate_per_s = out.requests_per_s * std::clamp(guides_percent / out.gc_percent, 0.25, 4.0);
  }
}

/// What is in use when a collection ends, at most, in MiB.
inline double heap_goal_mib() {
  std::vector<gort::metrics::sample> s{{"/gc/heap/goal:bytes"}};
  gort::metrics::read(s);
  return static_cast<double>(s[0].value.uint64()) / (1 << 20);
}

inline void tell(const served& of, int gogc) {
  report()
      .add("gogc", gogc)
      .add("gc_percent", of.gc_percent)
      .add("idle_percent", of.idle_percent)
      .add("peak_rss_mib", peak_rss_mib())
      .add("heap_goal_mib", heap_goal_mib())
      .add("most_mib", most_bytes() / (1 << 20))
      .add("scale", scale())
      .add("live_mib", live_bytes() / (1 << 20))
      .add("requests_per_s", of.requests_per_s)
      .add("p999_ms", of.p999_ms)
      .add("worst_ms", of.worst_ms)
      .print();
}

}  // namespace exercise
