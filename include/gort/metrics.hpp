/// What the runtime counts and measures, by Go's names: package runtime/metrics. What each name
/// means here, and what reading costs: docs/metrics.md.
///
///     std::array samples{gort::metrics::sample{"/sched/goroutines:goroutines"},
///                        gort::metrics::sample{"/sched/latencies:seconds"}};
///     gort::metrics::read(samples);
///     log(samples[0].value.uint64(), samples[1].value.float64_histogram().percentile(0.99));
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace gort::metrics {

/// Go: metrics.ValueKind.
enum class value_kind : std::uint8_t { bad, uint64, float64, float64_histogram };

/// Counts of values in buckets. Go: metrics.Float64Histogram.
struct float64_histogram {
  /// counts[i] values v had buckets[i] <= v < buckets[i + 1].
  std::vector<std::uint64_t> counts;
  /// One more than counts; the first may be -infinity, the last +infinity. Never changes while the
  /// process runs, and is shared by all readers.
  std::span<const double> buckets;

  /// How many values there are.
  std::uint64_t total() const noexcept;

  /// A bound that a share p of the values does not exceed: the upper bound of the bucket that has
  /// the ceil(p * total())-th smallest of them, which may be +infinity. p = 0: the lower bound of
  /// the first bucket that has any, so that no value is below it. NaN if there are no values.
  /// Throws std::invalid_argument unless 0 <= p <= 1, and for buckets that are not one more than
  /// the counts. (The guide's function: which answers with the
  /// first bucket's bound, empty or not, for a small p or no values.)
  double percentile(double p) const;

  /// What was counted after `earlier` was read, which must be of the same metric; else throws
  /// std::invalid_argument. For percentiles of an interval.
  float64_histogram since(const float64_histogram& earlier) const;
};

/// What a metric was when it was read. Go: metrics.Value.
class value {
 public:
  /// bad until it is read, and for a name that does not exist.
  value_kind kind() const noexcept { return static_cast<value_kind>(held_.index()); }
  /// Each throws runtime_error if the kind is another, in Go's words.
  std::uint64_t uint64() const;
  double float64() const;
  const metrics::float64_histogram& float64_histogram() const;

 private:
  friend struct value_access;
  std::variant<std::monostate, std::uint64_t, double, metrics::float64_histogram> held_;
};

/// A name and a place for its value. Reading again reuses the memory of a histogram.
/// Go: metrics.Sample.
struct sample {
  std::string name;
  metrics::value value = {};
};

/// Go: metrics.Description.
struct description {
  /// "/sched/latencies:seconds": a path, a colon, a unit.
  std::string_view name;
  std::string_view text;
  value_kind kind = value_kind::bad;
  /// Never decreases, a histogram's counts included.
  bool cumulative = false;
};

/// Every metric that there is, by name in order of bytes: those of Go 1.24 to 1.27, and ours, which
/// begin with /gort/. The same list for the life of the process. Any thread. Go: metrics.All.
std::span<const description> all() noexcept;

/// Fills in the values of all samples; those whose name does not exist become `bad`. Stops nothing
/// and parks nobody. May wait for a lock of malloc, as malloc does. Values of one call are not of
/// one instant, but sums of such that are (the memory classes, those of CPU time) come out right.
/// Throws std::bad_alloc. Any thread. Go: metrics.Read.
void read(std::span<sample> samples);

}  // namespace gort::metrics
