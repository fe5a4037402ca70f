// How far the ends of objects may fall behind those who allocate.
#include <cstddef>
#include <cstdint>

#include <gtest/gtest.h>

#include "gc/endings_pace.hpp"

namespace {

using gort::managed::endings_pace;

constexpr std::size_t mib = std::size_t{1} << 20;
constexpr std::int64_t ms = 1'000'000;

// A cycle has ended with 100 MiB due; the next begins 200 MiB later.
struct behind : testing::Test {
  endings_pace of;
  std::uint64_t runs = 0;
  std::int64_t now_ns = 1000 * ms;

  behind() {
    of.add_due(100 * mib);
    of.cycle_has_ended();
    of.set_way(300 * mib, 500 * mib, 10 * mib);
  }
  // One has been run since the last look.
  bool at(std::size_t used) { return of.is_behind({used, ++runs, false, now_ns}); }
  bool without_progress(bool is_parked) {
    return of.is_behind({500 * mib, runs, is_parked, now_ns});
  }
};

TEST_F(behind, nobody_waits_before_anything_was_handed_out) {
  EXPECT_TRUE(of.may_be_behind());
  EXPECT_FALSE(at(300 * mib));
  EXPECT_FALSE(at(290 * mib));
}

TEST_F(behind, as_much_of_it_is_to_be_run_as_of_the_way_is_gone) {
  EXPECT_FALSE(at(318 * mib));  // 10 MiB are slack
  EXPECT_TRUE(at(322 * mib));
  of.is_run(50 * mib);
  EXPECT_FALSE(at(418 * mib));
  EXPECT_TRUE(at(422 * mib));
}

TEST_F(behind, beyond_the_way_there_is_the_slack_alone) {
  of.is_run(89 * mib);
  EXPECT_TRUE(at(500 * mib));
  EXPECT_TRUE(at(900 * mib));
  of.is_run(1 * mib);
  EXPECT_FALSE(at(900 * mib));
  EXPECT_FALSE(of.may_be_behind());
}

TEST_F(behind, what_was_due_before_counts) {
  of.add_due(20 * mib);  // more than there was at the end
  EXPECT_TRUE(at(300 * mib));
}

TEST_F(behind, nobody_waits_for_one_that_blocks) {
  EXPECT_TRUE(at(500 * mib));
  now_ns += 99 * ms;
  EXPECT_TRUE(without_progress(true));
  now_ns += 2 * ms;
  EXPECT_FALSE(without_progress(true));
  EXPECT_TRUE(at(500 * mib));  // it goes on
}

TEST_F(behind, one_that_may_wait_for_its_turn_is_waited_for_for_longer) {
  EXPECT_TRUE(at(500 * mib));
  now_ns += 9'900 * ms;
  EXPECT_TRUE(without_progress(false));
  now_ns += 200 * ms;
  EXPECT_FALSE(without_progress(false));
}

TEST(endings_pace, without_a_goal_nobody_waits) {
  endings_pace of;
  of.add_due(1000 * mib);
  of.cycle_has_ended();
  EXPECT_FALSE(of.may_be_behind());
  of.set_way(0, endings_pace::never, endings_pace::never);
  EXPECT_FALSE(of.is_behind({2000 * mib, 1, false, 1000 * ms}));
}

}  // namespace
