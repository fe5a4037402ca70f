// From the runtime's metrics to Prometheus's: the rules of Go's client (docs/metrics.md).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gort::prometheus {

/// "/sched/latencies:seconds" is go_sched_latencies_seconds; "/gort/sched/steals:steals" is
/// gort_sched_steals_steals_total, without go_. Empty: no legal name comes out.
std::string name_of(std::string_view runtime_name, bool is_counter);

/// Which buckets Prometheus sees: of the runtime's, one for each factor of 2 (bytes) or 10
/// (seconds), and of seconds none beyond one.
struct reduced_buckets {
  /// Of each reduced bucket, where in the runtime's it ends (exclusive) and what it is called.
  struct bucket {
    std::size_t end;
    double upper_bound;  // inclusive, as `le`
    double lower_bound;  // for the sum; 0 in the first one
  };
  std::vector<bucket> all;
};
reduced_buckets reduce(std::span<const double> bounds, std::string_view unit);

}  // namespace gort::prometheus
