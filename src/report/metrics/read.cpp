// gort::metrics: the public side of the table.
#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include <gort/error.hpp>
#include <gort/metrics.hpp>

#include "report/metrics/gathered.hpp"
#include "report/metrics/table.hpp"
#include "sched/gmp/current.hpp"

namespace gort::metrics {

struct value_access {
  static void clear(value& v) noexcept { v.held_.emplace<std::monostate>(); }
  static void set(value& v, std::uint64_t x) noexcept { v.held_ = x; }
  static void set(value& v, double x) noexcept { v.held_ = x; }
  /// What was there of a histogram is used again.
  static float64_histogram& histogram(value& v) {
    if (auto* there = std::get_if<float64_histogram>(&v.held_); there != nullptr) return *there;
    return v.held_.emplace<float64_histogram>();
  }
  template <class T>
  static const T& get(const value& v, const char* complaint) {
    const T* held = std::get_if<T>(&v.held_);
    if (held == nullptr) detail::throw_runtime_error(complaint);
    return *held;
  }
};

namespace {

void fill(value& v, const report::metric& what, report::gathered& facts) {
  switch (what.is.kind) {
    case value_kind::bad: break;
    case value_kind::uint64: return value_access::set(v, what.whole(facts));
    case value_kind::float64: return value_access::set(v, what.real(facts));
    case value_kind::float64_histogram: {
      float64_histogram& to = value_access::histogram(v);
      to.buckets = what.bounds;
      to.counts.assign(what.bounds.size() - 1, 0);
      if (what.add_counts != nullptr) what.add_counts(to.counts);
    }
  }
}

}  // namespace

std::uint64_t float64_histogram::total() const noexcept {
  std::uint64_t sum = 0;
  for (const std::uint64_t each : counts) sum += each;
  return sum;
}

double float64_histogram::percentile(double p) const {
  if (!(p >= 0 && p <= 1)) throw std::invalid_argument("percentile: not between 0 and 1");
  const std::uint64_t all = total();
  if (all == 0) return std::numeric_limits<double>::quiet_NaN();
  if (buckets.size() != counts.size() + 1)
    throw std::invalid_argument("percentile: as many buckets as counts and one more are needed");
  // The rank of the value that is asked for, from 1. 0.07 * 100 is a little more than 7, and means
  // the seventh.
  constexpr double slack = 1e-12;
  const double ceiling = std::ceil(p * static_cast<double>(all) * (1 - slack));
  const std::uint64_t rank = p == 1 ? all : static_cast<std::uint64_t>(ceiling);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    sum += counts[i];
    if (rank == 0) return buckets[i];
    if (sum >= rank) return buckets[i + 1];
  }
  return buckets.back();
}

float64_histogram float64_histogram::since(const float64_histogram& earlier) const {
  if (earlier.counts.size() != counts.size() || earlier.buckets.data() != buckets.data())
    throw std::invalid_argument("since: another metric's histogram");
  float64_histogram out = *this;
  for (std::size_t i = 0; i < counts.size(); ++i)
    out.counts[i] -= std::min(earlier.counts[i], counts[i]);
  return out;
}

std::uint64_t value::uint64() const {
  return value_access::get<std::uint64_t>(*this, "called Uint64 on non-uint64 metric value");
}

double value::float64() const {
  return value_access::get<double>(*this, "called Float64 on non-float64 metric value");
}

const metrics::float64_histogram& value::float64_histogram() const {
  return value_access::get<metrics::float64_histogram>(
      *this, "called Float64Histogram on non-Float64Histogram metric value");
}

std::span<const description> all() noexcept { return report::all_descriptions(); }

void read(std::span<sample> samples) {
  sched::start_runtime();
  report::gathered facts;
  for (sample& each : samples) {
    const report::metric* what = report::find_metric(each.name);
    if (what == nullptr)
      value_access::clear(each.value);
    else
      fill(each.value, *what, facts);
  }
}

}  // namespace gort::metrics
