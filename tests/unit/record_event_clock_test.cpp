// The clock of events against the system's.
#include "record/event_clock.hpp"

#include <chrono>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace gort::record {
namespace {

constexpr std::int64_t ms = 1'000'000;

void wait(std::int64_t ns) { std::this_thread::sleep_for(std::chrono::nanoseconds(ns)); }

// Between two looks at the system's clock, as far as its factor may be wrong.
void expect_the_same_time() {
  constexpr std::int64_t may_differ_ns = ms / 10;
  const std::int64_t before = os::monotonic_ns();
  const std::int64_t now = event_ns();
  const std::int64_t after = os::monotonic_ns();
  EXPECT_GE(now, before - may_differ_ns);
  EXPECT_LE(now, after + may_differ_ns);
}

TEST(event_clock, is_the_systems_before_and_after) {
  EXPECT_EQ(event_scale.by_counter.load_relaxed(), 0u);
  expect_the_same_time();
  const std::int64_t before = event_ns();
  tune_event_clock(wait);
  EXPECT_EQ(event_scale.by_counter.load_relaxed() != 0, os::ticks_are_a_clock());
  EXPECT_GE(event_ns(), before);
  expect_the_same_time();
  wait(200 * ms);
  expect_the_same_time();
  tune_event_clock([](std::int64_t) { FAIL() << "once is enough"; });
}

// Each thread's own times do not go back, and who is told a time later has a later one.
TEST(event_clock, does_not_go_back) {
  tune_event_clock(wait);
  detail::atomic<std::int64_t> latest;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      constexpr std::int64_t early_ns = 10'000;  // reader.cpp
      std::int64_t last = 0;
      for (int i = 0; i < 100'000; ++i) {
        const std::int64_t others = latest.load_acquire();  // pairs with the release below
        const std::int64_t now = event_ns();
        EXPECT_GE(now, last);
        EXPECT_GE(now + early_ns, others);
        last = now;
        latest.store_release(now);  // pairs with the acquire above
      }
    });
  }
  for (std::thread& each : threads) each.join();
}

}  // namespace
}  // namespace gort::record
