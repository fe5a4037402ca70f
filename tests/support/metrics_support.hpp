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

}  // namespace gort::test
