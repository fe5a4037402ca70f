// When a heap counts as quiet, with times made up.
#include "gc/quiet.hpp"

#include <cstdint>

#include <gtest/gtest.h>

namespace gort::managed {
namespace {

constexpr std::int64_t ms = 1'000'000, second = 1000 * ms;
constexpr std::size_t mib = std::size_t{1} << 20;

struct heap {
  quiet_watch watch;
  quiet_watch::reading at{.found = 100 * mib, .quiet_found = 100 * mib};

  quiet_watch::verdict after(std::int64_t ns, std::size_t handed_out = 0) {
    at.now_ns += ns;
    at.handed_out += handed_out;
    return watch.look(at);
  }
  // The same: in how many ns to look again; -1: not before it is worth while.
  std::int64_t again_after(std::int64_t ns, std::size_t handed_out = 0) {
    const std::int64_t again_ns = after(ns, handed_out).again_ns;
    return again_ns < 0 ? again_ns : again_ns - at.now_ns;
  }
};

TEST(gc_quiet_watch, a_little_garbage_is_not_worth_it_however_long_nothing_happens) {
  heap h;
  EXPECT_EQ(h.again_after(second, 12 * mib), -1);
  EXPECT_EQ(h.again_after(3600 * second), -1);
  EXPECT_FALSE(h.after(second).collect);
  h.at = {.found = 1 * mib, .quiet_found = 1 * mib};
  EXPECT_EQ(h.again_after(second, 3 * mib), -1) << "4 MiB are not in question";
}

TEST(gc_quiet_watch, a_second_without_allocations_is_quiet) {
  heap h;
  EXPECT_EQ(h.again_after(0, 20 * mib), second);
  EXPECT_EQ(h.again_after(second / 2), second / 2);
  EXPECT_TRUE(h.after(second / 2).collect);
}

TEST(gc_quiet_watch, allocations_begin_it_anew_and_a_trickle_does_not) {
  heap h;
  EXPECT_FALSE(h.after(0, 20 * mib).collect);
  EXPECT_FALSE(h.after(second, 2 * mib).collect);
  EXPECT_EQ(h.again_after(second, 2 * mib), second);
  EXPECT_TRUE(h.after(second, mib / 2).collect);
}

TEST(gc_quiet_watch, a_cycle_begins_it_anew) {
  heap h;
  EXPECT_FALSE(h.after(0, 60 * mib).collect);
  h.at.handed_out = 20 * mib;
  EXPECT_FALSE(h.after(second).collect);
  EXPECT_TRUE(h.after(second).collect);
}

TEST(gc_quiet_watch, what_a_busy_heaps_marking_has_found_may_be_garbage) {
  heap h;
  h.at.found = 200 * mib;
  EXPECT_FALSE(h.after(0).collect);
  EXPECT_TRUE(h.after(second).collect);
  h.watch.charge(h.at.now_ns, ms);
  h.at.quiet_found = 200 * mib;  // it was none
  EXPECT_EQ(h.again_after(second), -1);
}

TEST(gc_quiet_watch, so_may_what_has_met_its_end_since) {
  heap h;
  h.at.ended = 50 * mib;
  EXPECT_FALSE(h.after(0).collect);
  EXPECT_TRUE(h.after(second).collect);
}

TEST(gc_quiet_watch, it_has_a_hundredth_of_a_cpu) {
  heap h;
  EXPECT_FALSE(h.after(0, 20 * mib).collect);
  EXPECT_TRUE(h.after(second).collect);
  const std::int64_t ended_ns = h.at.now_ns;
  h.watch.charge(ended_ns, 30 * ms);
  h.watch.charge(ended_ns + ms, 10 * ms);  // giving back
  h.at.handed_out = 0;
  EXPECT_FALSE(h.after(0, 20 * mib).collect);
  EXPECT_EQ(h.after(second).again_ns, ended_ns + 4 * second);
  EXPECT_FALSE(h.after(2 * second).collect);
  EXPECT_TRUE(h.after(second).collect);
}

}  // namespace
}  // namespace gort::managed
