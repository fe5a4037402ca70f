// The leaky bucket by itself, with times made up.
#include "gc/cpu_limiter.hpp"

#include <cstdint>

#include <gtest/gtest.h>

namespace gort::managed {
namespace {

constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t capacity_ns = 1000 * ms;
constexpr std::int64_t cycle_ns = 50 * ms;

// Time goes on; the two kinds of it.
struct bucket {
  cpu_limiter limiter;
  cpu_limiter::reading used;
  bool pass(std::int64_t collecting_ns, std::int64_t others_ns) {
    used.collecting_ns += collecting_ns;
    used.all_ns += collecting_ns + others_ns;
    return limiter.update(used, capacity_ns, cycle_ns);
  }
};

TEST(gc_cpu_limiter, half_of_the_time_is_never_too_much) {
  bucket b;
  for (int i = 0; i < 10'000; ++i) ASSERT_FALSE(b.pass(10 * ms, 10 * ms)) << i;
}

TEST(gc_cpu_limiter, one_bucket_more_is_and_idle_time_is_none) {
  bucket b;
  for (int i = 0; i < 99; ++i) ASSERT_FALSE(b.pass(10 * ms, 0)) << i;
  for (int i = 0; i < 100; ++i) ASSERT_FALSE(b.pass(0, 0)) << "nobody has used a CPU";
  EXPECT_TRUE(b.pass(10 * ms, 0));
}

TEST(gc_cpu_limiter, ends_when_there_is_room_for_one_more) {
  bucket b;
  EXPECT_TRUE(b.pass(capacity_ns, 0));
  EXPECT_TRUE(b.pass(0, 49 * ms));
  EXPECT_FALSE(b.pass(0, ms));
  EXPECT_FALSE(b.pass(49 * ms, 0));
  EXPECT_TRUE(b.pass(ms, 0));
}

TEST(gc_cpu_limiter, forgets_what_is_more_than_a_cycle) {
  bucket b;
  EXPECT_TRUE(b.pass(1000 * capacity_ns, 0));
  EXPECT_TRUE(b.pass(0, 2 * cycle_ns - ms));
  EXPECT_FALSE(b.pass(0, ms));
}

TEST(gc_cpu_limiter, a_cycle_longer_than_the_bucket_waits_till_it_is_empty) {
  cpu_limiter limiter;
  EXPECT_TRUE(limiter.update({3 * capacity_ns, 3 * capacity_ns}, capacity_ns, 3 * capacity_ns));
  EXPECT_TRUE(limiter.update({3 * capacity_ns, 6 * capacity_ns - 1}, capacity_ns, 3 * capacity_ns));
  EXPECT_FALSE(limiter.update({3 * capacity_ns, 6 * capacity_ns}, capacity_ns, 3 * capacity_ns));
}

TEST(gc_cpu_limiter, in_the_long_run_a_program_has_half_whatever_a_cycle_costs) {
  // Collecting goes on whenever it may, beside a program that does the same.
  bucket b;
  b.pass(capacity_ns, 0);
  const cpu_limiter::reading begin = b.used;
  bool suspended = true;
  for (int i = 0; i < 100'000; ++i) suspended = b.pass(suspended ? 0 : 9 * ms, ms);
  const auto collecting = static_cast<double>(b.used.collecting_ns - begin.collecting_ns);
  const auto all = static_cast<double>(b.used.all_ns - begin.all_ns);
  EXPECT_LE(collecting / all, 0.51);
  EXPECT_GE(collecting / all, 0.45) << "it may have half";
}

}  // namespace
}  // namespace gort::managed
