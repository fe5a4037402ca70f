// gort::metrics apart from what the numbers are: names, kinds, values, percentiles.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include <gort/error.hpp>
#include <gort/metrics.hpp>

#include "base/env.hpp"

namespace {

using namespace gort::metrics;

constexpr double infinity = std::numeric_limits<double>::infinity();

float64_histogram histogram(std::vector<std::uint64_t> counts, std::span<const double> buckets) {
  return {std::move(counts), buckets};
}

const double five[] = {-infinity, 0, 1, 2, infinity};

TEST(percentile, of_nothing_is_no_number) {
  EXPECT_TRUE(std::isnan(histogram({0, 0, 0, 0}, five).percentile(0.5)));
  EXPECT_TRUE(std::isnan(float64_histogram{}.percentile(0)));
}

TEST(percentile, is_right_at_both_ends) {
  const float64_histogram h = histogram({0, 2, 1, 0}, five);
  EXPECT_EQ(h.total(), 3u);
  EXPECT_EQ(h.percentile(0), 0);     // no value is less; the empty bucket before is none of them
  EXPECT_EQ(h.percentile(1e-9), 1);  // the first value's bound, not the first bucket's
  EXPECT_EQ(h.percentile(2. / 3), 1);
  EXPECT_EQ(h.percentile(0.67), 2);
  EXPECT_EQ(h.percentile(1), 2);  // not that of the empty buckets behind
  EXPECT_EQ(histogram({0, 0, 0, 1}, five).percentile(1), infinity);
  EXPECT_EQ(histogram({1, 0, 0, 0}, five).percentile(0), -infinity);
  EXPECT_EQ(histogram({1, 0, 0, 0}, five).percentile(1), 0);
}

TEST(percentile, does_not_stumble_over_rounding) {
  // 0.07 * 100 is 7.000000000000001.
  EXPECT_EQ(histogram({0, 7, 93, 0}, five).percentile(0.07), 1);
  EXPECT_EQ(histogram({0, 99, 1, 0}, five).percentile(0.99), 1);
  EXPECT_EQ(histogram({0, 98, 2, 0}, five).percentile(0.99), 2);
  const std::uint64_t many = std::uint64_t{1} << 60;
  EXPECT_EQ(histogram({0, many, 1, 0}, five).percentile(1), 2);
}

TEST(percentile, refuses_what_is_no_share) {
  const float64_histogram h = histogram({1, 1, 1, 1}, five);
  EXPECT_THROW(h.percentile(-0.1), std::invalid_argument);
  EXPECT_THROW(h.percentile(1.1), std::invalid_argument);
  EXPECT_THROW(h.percentile(std::nan("")), std::invalid_argument);
}

TEST(percentile, refuses_counts_without_their_buckets) {
  EXPECT_THROW(histogram({1, 2}, {}).percentile(0.5), std::invalid_argument);
  EXPECT_THROW(histogram({1, 2, 3, 4, 5}, five).percentile(1), std::invalid_argument);
}

TEST(histogram_since, is_what_came_between) {
  const float64_histogram earlier = histogram({0, 7, 1, 0}, five);
  const float64_histogram later = histogram({0, 9, 1, 1}, five);
  EXPECT_EQ(later.since(earlier).counts, (std::vector<std::uint64_t>{0, 2, 0, 1}));
  EXPECT_THROW(later.since(float64_histogram{}), std::invalid_argument);
}

TEST(metrics_all, is_sorted_and_well_formed) {
  const auto all = gort::metrics::all();
  EXPECT_GT(all.size(), 66u + 42u);
  EXPECT_EQ(all.data(), gort::metrics::all().data());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string name(all[i].name);
    EXPECT_TRUE(i == 0 || all[i - 1].name < all[i].name) << name;
    EXPECT_TRUE(name.starts_with('/')) << name;
    EXPECT_EQ(std::count(name.begin(), name.end(), ':'), 1) << name;
    EXPECT_FALSE(name.ends_with(':')) << name;
    EXPECT_FALSE(all[i].text.empty()) << name;
    EXPECT_NE(all[i].kind, value_kind::bad) << name;
  }
}

TEST(metrics_read, gives_every_name_its_kind) {
  std::vector<sample> samples;
  for (const description& each : all()) samples.push_back({std::string(each.name)});
  read(samples);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const description& d = all()[i];
    const value& v = samples[i].value;
    ASSERT_EQ(v.kind(), d.kind) << d.name;
    if (d.kind != value_kind::float64_histogram) continue;
    const float64_histogram& h = v.float64_histogram();
    ASSERT_EQ(h.counts.size() + 1, h.buckets.size()) << d.name;
    EXPECT_EQ(h.buckets.size(), d.name.ends_with(":bytes") ? 69u : 163u) << d.name;
    EXPECT_EQ(h.buckets.back(), infinity) << d.name;
  }
}

TEST(metrics_read, a_name_that_does_not_exist_is_bad) {
  std::vector<sample> samples{{"/sched/goroutines:goroutines"},
                              {"/sched/goroutines:gorout"},
                              {"/sched/threads:threads"},
                              {""},
                              {"/zzz:z"}};
  read(samples);
  EXPECT_EQ(samples[0].value.kind(), value_kind::uint64);
  for (std::size_t i = 1; i < samples.size(); ++i) {
    EXPECT_EQ(samples[i].value.kind(), value_kind::bad) << samples[i].name;
  }
  samples[0].name = "/none:none";  // one that was something becomes bad too
  read(samples);
  EXPECT_EQ(samples[0].value.kind(), value_kind::bad);
}

TEST(metrics_value, of_another_kind_throws_in_go_s_words) {
  std::vector<sample> samples{{"/sched/goroutines:goroutines"}, {"/sched/latencies:seconds"}};
  read(samples);
  const auto says = [](auto ask) {
    try {
      ask();
    } catch (const gort::runtime_error& error) {
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  EXPECT_EQ(says([&] { samples[0].value.float64(); }),
            "called Float64 on non-float64 metric value");
  EXPECT_EQ(says([&] { samples[1].value.uint64(); }), "called Uint64 on non-uint64 metric value");
  EXPECT_EQ(says([&] { samples[0].value.float64_histogram(); }),
            "called Float64Histogram on non-Float64Histogram metric value");
  EXPECT_EQ(value{}.kind(), value_kind::bad);
}

TEST(metrics_read, uses_a_histogram_s_memory_again) {
  std::vector<sample> samples{{"/sched/latencies:seconds"}};
  read(samples);
  const auto* counts = samples[0].value.float64_histogram().counts.data();
  const auto* buckets = samples[0].value.float64_histogram().buckets.data();
  read(samples);
  EXPECT_EQ(samples[0].value.float64_histogram().counts.data(), counts);
  EXPECT_EQ(samples[0].value.float64_histogram().buckets.data(), buckets);
}

TEST(gc_knobs, are_read_as_go_reads_them) {
  using gort::base::parse_gc_percent;
  using gort::base::parse_memory_limit;
  EXPECT_EQ(parse_gc_percent(""), 100);
  EXPECT_EQ(parse_gc_percent("abc"), 100);
  EXPECT_EQ(parse_gc_percent("off"), -1);
  EXPECT_EQ(parse_gc_percent("-5"), -1);
  EXPECT_EQ(parse_gc_percent("0"), 0);
  EXPECT_EQ(parse_gc_percent("200"), 200);
  constexpr std::uint64_t none = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(parse_memory_limit(""), none);
  EXPECT_EQ(parse_memory_limit("off"), none);
  EXPECT_EQ(parse_memory_limit("1MB"), none);
  EXPECT_EQ(parse_memory_limit("-1"), none);
  EXPECT_EQ(parse_memory_limit("9999999TiB"), none);
  EXPECT_EQ(parse_memory_limit("100"), 100u);
  EXPECT_EQ(parse_memory_limit("100B"), 100u);
  EXPECT_EQ(parse_memory_limit("900MiB"), std::uint64_t{900} << 20);
  EXPECT_EQ(parse_memory_limit("2TiB"), std::uint64_t{2} << 40);
}

}  // namespace
