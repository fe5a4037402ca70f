// The metrics that there are, as data.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <gort/metrics.hpp>

#include "record/size_classes.hpp"
#include "record/time_histogram.hpp"
#include "report/metrics/gathered.hpp"

namespace gort::report {

inline constexpr record::time_bounds time_bounds = record::time_bounds_seconds();

struct metric {
  metrics::description is;
  // One of these, by is.kind:
  std::uint64_t (*whole)(gathered&) = nullptr;
  double (*real)(gathered&) = nullptr;
  void (*add_counts)(std::span<std::uint64_t>) = nullptr;  // to zeros; null: none are counted
  std::span<const double> bounds = {};
};

namespace entries {

using metrics::value_kind;

constexpr metric count(std::string_view name, std::uint64_t (*f)(gathered&),
                       std::string_view text) {
  return {{name, text, value_kind::uint64, true}, f};
}
constexpr metric gauge(std::string_view name, std::uint64_t (*f)(gathered&),
                       std::string_view text) {
  return {{name, text, value_kind::uint64, false}, f};
}
constexpr metric seconds(std::string_view name, double (*f)(gathered&), std::string_view text) {
  return {{name, text, value_kind::float64, true}, nullptr, f};
}
constexpr metric times(std::string_view name, void (*f)(std::span<std::uint64_t>),
                       std::string_view text) {
  return {{name, text, value_kind::float64_histogram, true}, nullptr, nullptr, f, time_bounds};
}
constexpr metric sizes(std::string_view name, void (*f)(std::span<std::uint64_t>),
                       std::string_view text) {
  return {
      {name, text, value_kind::float64_histogram, true}, nullptr, nullptr, f, record::size_bounds};
}

constexpr std::uint64_t zero(gathered&) { return 0; }
constexpr double no_seconds(gathered&) { return 0; }
constexpr double in_seconds(std::uint64_t ns) { return static_cast<double>(ns) / 1e9; }

}  // namespace entries

/// All of them by name.
std::span<const metric> all_metrics() noexcept;
std::span<const metrics::description> all_descriptions() noexcept;
/// Null: there is none of that name.
const metric* find_metric(std::string_view name) noexcept;

}  // namespace gort::report
