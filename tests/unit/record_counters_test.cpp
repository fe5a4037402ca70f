// Time histograms: Go's buckets, to the last bound; and counters in shards.
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "record/counters.hpp"
#include "record/size_classes.hpp"
#include "record/time_histogram.hpp"

namespace {

using namespace gort::record;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr time_bounds bounds = time_bounds_seconds();

TEST(time_histogram, has_the_bounds_that_go_has) {
  ASSERT_EQ(bounds.size(), 163u);
  const double first[] = {-infinity, 0,         6.4e-08,  1.28e-07, 1.92e-07, 2.56e-07,
                          3.2e-07,   3.84e-07,  4.48e-07, 5.12e-07, 6.4e-07,  7.68e-07,
                          8.96e-07,  1.024e-06, 1.28e-06, 1.536e-06};
  for (std::size_t i = 0; i < std::size(first); ++i) EXPECT_EQ(bounds[i], first[i]) << i;
  EXPECT_EQ(bounds[160], 70368744177664.0 * 1.75 / 1e9);
  EXPECT_EQ(bounds[161], 140737.488355328);
  EXPECT_EQ(bounds[162], infinity);
  for (std::size_t i = 1; i < bounds.size(); ++i) EXPECT_LT(bounds[i - 1], bounds[i]) << i;
}

TEST(time_histogram, puts_every_duration_between_its_bounds) {
  const auto expect_in = [](std::int64_t ns, unsigned bucket) {
    EXPECT_EQ(time_bucket_of(ns), bucket) << ns;
  };
  constexpr std::int64_t longest = std::numeric_limits<std::int64_t>::max();
  expect_in(std::numeric_limits<std::int64_t>::min(), 0);
  expect_in(-1, 0);
  expect_in(0, 1);
  expect_in(63, 1);
  expect_in(64, 2);
  expect_in(255, 4);
  expect_in(256, 5);
  expect_in(319, 5);
  expect_in(320, 6);
  expect_in(511, 8);
  expect_in(512, 9);
  expect_in((std::int64_t{1} << 47) - 1, 160);
  expect_in(std::int64_t{1} << 47, 161);
  expect_in(longest, 161);
  // Both sides of each bound: lower inclusive, upper exclusive.
  for (unsigned bucket = 1; bucket < time_buckets; ++bucket) {
    const std::int64_t begin = time_bucket_begin_ns(bucket);
    expect_in(begin, bucket);
    expect_in(begin - 1, bucket - 1);
    EXPECT_EQ(static_cast<double>(begin) / 1e9, bounds[bucket]);
  }
}

TEST(time_histogram, counts_with_weights) {
  time_histogram h;
  h.add(100);
  h.add(100, 41);
  h.add(-5);
  h.add_shared(std::int64_t{1} << 50);
  std::vector<std::uint64_t> counts(time_buckets);
  h.add_to(counts);
  h.add_to(counts);  // adds
  EXPECT_EQ(counts[time_bucket_of(100)], 84u);
  EXPECT_EQ(counts[0], 2u);
  EXPECT_EQ(counts[161], 2u);
}

TEST(size_classes, are_go_s) {
  EXPECT_EQ(size_bounds.size(), 69u);
  EXPECT_EQ(size_buckets, 68u);
  EXPECT_EQ(size_bounds[0], 1);
  EXPECT_EQ(size_bounds[67], 32769);
  EXPECT_EQ(size_bounds[68], infinity);
  for (std::size_t i = 1; i < size_bounds.size(); ++i)
    EXPECT_LT(size_bounds[i - 1], size_bounds[i]);
}

// An owner for each shard, and some who have none, while somebody reads: nothing is lost, and no
// sum is less than one before it.
TEST(counters, are_exact_and_never_decrease) {
  constexpr int owners = 4;
  constexpr std::uint64_t each = 200'000;
  const std::uint64_t before = sum(counter::steals);
  std::vector<std::uint64_t> counts(time_buckets);
  sum_latencies(counts);
  const std::uint64_t latencies_before = counts[time_bucket_of(1000)];
  std::vector<std::thread> threads;
  for (int i = 0; i < owners; ++i) {
    threads.emplace_back([i] {
      if (i % 2 == 0) {
        auto* own = new shard;  // for good [count-2]
        enroll(*own);
        for (std::uint64_t n = 0; n < each; ++n) {
          own->add(counter::steals);
          own->latencies.add(1000);
        }
      } else {
        for (std::uint64_t n = 0; n < each; ++n) {
          add_elsewhere(counter::steals);
          add_latency_elsewhere(1000);
        }
      }
    });
  }
  std::uint64_t last = before;
  while (last < before + owners * each) {
    const std::uint64_t now = sum(counter::steals);
    ASSERT_GE(now, last);
    ASSERT_LE(now, before + owners * each);
    last = now;
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(sum(counter::steals), before + owners * each);
  counts.assign(time_buckets, 0);
  sum_latencies(counts);
  EXPECT_EQ(counts[time_bucket_of(1000)], latencies_before + owners * each);
}

// --- which events are measured

TEST(event_sampler, takes_all_of_few) {
  event_sampler s;
  std::int64_t tick_ns = 0;
  for (int i = 0; i < 1000; ++i) {
    if (i % 10 == 0) tick_ns += 2'000'000;
    EXPECT_EQ(s.take_at(tick_ns), 1u) << i;
  }
}

// As many as are taken stand for all, whatever the rate; and each has the same chance, also the
// first of a burst and the last.
TEST(event_sampler, weighs_what_it_leaves_out) {
  event_sampler s;
  constexpr int bursts = 20'000;
  constexpr std::size_t length = 100;
  std::vector<std::uint64_t> taken(length), weights(length);
  std::uint64_t weight = 0;
  for (int b = 0; b < bursts; ++b) {
    for (std::size_t i = 0; i < length; ++i) {
      const std::uint32_t w = s.take_at(b * std::int64_t{100'000});
      weight += w;
      weights[i] += w;
      taken[i] += w != 0 ? 1 : 0;
    }
  }
  constexpr std::uint64_t all = std::uint64_t{bursts} * length;
  EXPECT_LE(weight, all);
  EXPECT_GT(weight, all - 2 * event_sampler::mean_max);
  std::uint64_t sum = 0;
  for (const std::uint64_t each : taken) sum += each;
  EXPECT_LT(sum, std::uint64_t{bursts} * 10);  // about 16 in each millisecond: ten bursts
  EXPECT_GT(sum, std::uint64_t{bursts});
  const double mean = static_cast<double>(sum) / length;
  for (std::size_t i = 0; i < length; ++i) {
    EXPECT_GT(static_cast<double>(taken[i]), mean * 0.6) << i;
    EXPECT_LT(static_cast<double>(taken[i]), mean * 1.6) << i;
  }
}

TEST(event_sampler, measures_each_again_when_a_rush_is_over) {
  event_sampler s;
  std::int64_t tick_ns = 1;
  for (int i = 0; i < 10'000'000; ++i) {
    if (i % 100'000 == 0) tick_ns += 1'000'000;
    s.take_at(tick_ns);
  }
  for (int i = 0; i < 4; ++i) s.take_at(tick_ns += 3'000'000);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(s.take_at(tick_ns += 500'000), 1u) << i;
}

TEST(counters, have_lines_of_their_own) {
  EXPECT_EQ(alignof(shard), 128u);
  EXPECT_EQ(sizeof(shard) % 128, 0u);
}

}  // namespace
