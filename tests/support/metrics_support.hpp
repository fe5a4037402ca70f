// Reading metrics in tests.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gort/metrics.hpp>

namespace gort::test {

inline std::uint64_t whole(const std::string& name) {
  std::vector<metrics::sample> samples{{name}};
  metrics::read(samples);
  return samples[0].value.uint64();
}

inline metrics::float64_histogram times(const std::string& name) {
  std::vector<metrics::sample> samples{{name}};
  metrics::read(samples);
  return samples[0].value.float64_histogram();
}

/// One reading of several.
inline std::map<std::string, metrics::value> read_all(const std::vector<std::string>& names) {
  std::vector<metrics::sample> samples;
  for (const std::string& name : names) samples.push_back({name});
  metrics::read(samples);
  std::map<std::string, metrics::value> out;
  for (metrics::sample& each : samples) out[each.name] = std::move(each.value);
  return out;
}

/// Runs f. False: meanwhile a processor was taken from somebody who computed or slept in a call. So
/// nobody was who had the only one, if this is true.
template <class F>
bool kept_its_processor(F f) {
  const auto taken = [] {
    return whole("/gort/sched/hand-offs/preempted:processors") +
           whole("/gort/sched/hand-offs/taken-unannounced:processors");
  };
  const std::uint64_t before = taken();
  f();
  return taken() == before;
}

}  // namespace gort::test
