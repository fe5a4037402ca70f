// What a small heap gets beyond what GOGC says: learned from what its cycles cost, and given up.
#include <cstddef>
#include <cstdint>

#include <gtest/gtest.h>

#include "gc/leeway.hpp"

namespace {

using gort::managed::leeway;

constexpr std::size_t mib = std::size_t{1} << 20;
constexpr std::int64_t us = 1'000;

// So many cycles, one each 1000 us.
struct cycles {
  leeway of;
  std::int64_t now_ns = 1'000'000'000;

  cycles() { of.other_cycle_has_ended(now_ns); }
  void pass(int count, std::int64_t cpu_ns) {
    for (int i = 0; i < count; ++i) of.cycle_has_ended(now_ns += 1000 * us, cpu_ns);
  }
};

TEST(leeway, there_is_none_where_cycles_cost_little) {
  cycles it;
  it.pass(100, 50 * us);
  EXPECT_EQ(it.of.bytes(mib), 0u);
}

TEST(leeway, it_is_a_mebibyte_more_with_each_cycle_that_costs_much) {
  cycles it;
  it.pass(1, 300 * us);
  EXPECT_EQ(it.of.bytes(mib), mib);
  it.pass(4, 300 * us);
  EXPECT_EQ(it.of.bytes(mib), 5 * mib);
  it.pass(100, 300 * us);
  EXPECT_EQ(it.of.bytes(mib), 8 * mib);
}

TEST(leeway, it_is_half_of_headroom_and_eight_mebibytes_for_any) {
  cycles it;
  it.pass(100, 300 * us);
  EXPECT_EQ(it.of.bytes(0), 8 * mib);
  EXPECT_EQ(it.of.bytes(16 * mib), 8 * mib);
  EXPECT_EQ(it.of.bytes(20 * mib), 10 * mib);
  EXPECT_EQ(it.of.bytes(32 * mib), 16 * mib);
  EXPECT_EQ(it.of.bytes(48 * mib), 16 * mib);
}

TEST(leeway, between_an_eighth_and_a_sixteenth_it_stays) {
  cycles it;
  it.pass(7, 300 * us);
  it.pass(100, 100 * us);
  EXPECT_EQ(it.of.bytes(mib), 7 * mib);
}

TEST(leeway, half_of_it_is_given_up_where_they_cost_little_again) {
  cycles it;
  it.pass(16, 300 * us);
  it.pass(1, 50 * us);
  EXPECT_EQ(it.of.bytes(mib), 8 * mib);
  it.pass(4, 50 * us);
  EXPECT_EQ(it.of.bytes(mib), 0u);
}

TEST(leeway, it_is_less_where_headroom_is_much) {
  cycles it;
  it.pass(16, 300 * us);
  EXPECT_EQ(it.of.bytes(64 * mib), 16 * mib);
  EXPECT_EQ(it.of.bytes(80 * mib), 8 * mib);
  EXPECT_EQ(it.of.bytes(96 * mib), 0u);
  EXPECT_EQ(it.of.bytes(~std::size_t{0}), 0u);
}

// Who asks for collections without a break says nothing of what the next goal should be.
TEST(leeway, cycles_that_were_not_due_teach_nothing) {
  cycles it;
  for (int i = 0; i < 100; ++i) it.of.other_cycle_has_ended(it.now_ns += 100 * us);
  EXPECT_EQ(it.of.bytes(mib), 0u);
  it.pass(1, 300 * us);
  it.of.other_cycle_has_ended(it.now_ns += 100'000 * us);
  it.pass(1, 100 * us);  // a tenth of what passed since that one
  EXPECT_EQ(it.of.bytes(mib), mib);
}

}  // namespace
