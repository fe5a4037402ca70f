// What has a destructor takes no more memory than what has none, but for what the next cycle frees:
// neither is what is dead multiplied by GOGC, nor do those who allocate run away from the one
// goroutine that runs destructors.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/gc.hpp>
#include <gort/wait_group.hpp>

#include "gc/control.hpp"
#include "support/program.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;

constexpr std::size_t mib = std::size_t{1} << 20;
constexpr std::size_t objects_of_each = 6'000'000;
constexpr int allocating = 3;
constexpr std::size_t bytes_max = 160 * mib;  // of 824 that are made

struct with_destructor {
  gc::ptr<with_destructor> next;
  std::uint64_t rest[4] = {};
};
static_assert(!gc::needs_no_destructor<with_destructor>);

std::size_t make_many(std::size_t count = objects_of_each) {
  std::size_t most = 0;
  for (std::size_t i = 0; i < count; ++i) {
    (void)gc::make<with_destructor>();
    if (i % 1024 == 0) most = std::max(most, managed::bytes_in_use());
  }
  return most;
}

TEST(gc_endings_memory, goroutines_do_not_run_away_from_destructors) {
  test::with_procs(2, [] {
    std::size_t most[allocating] = {};
    wait_group all;
    for (std::size_t& each : most) all.go([&each] { each = make_many(); });
    all.wait();
    EXPECT_LT(*std::max_element(std::begin(most), std::end(most)), bytes_max);
  });
}

// The collector's thread is one of many, and must not fall behind without end.
TEST(gc_endings_memory, nor_where_there_are_many_more_ps_than_cpus) {
  constexpr int procs = 32;
  test::with_procs(procs, [] {
    std::size_t most[procs] = {};
    wait_group all;
    for (std::size_t& each : most)
      all.go([&each] { each = make_many(objects_of_each * allocating / procs); });
    all.wait();
    EXPECT_LT(*std::max_element(std::begin(most), std::end(most)), bytes_max);
  });
}

TEST(gc_endings_memory, nor_do_plain_threads) {
  test::with_procs(2, [] {
    std::size_t most[allocating] = {};
    std::vector<std::thread> all;
    for (std::size_t& each : most) all.emplace_back([&each] { each = make_many(); });
    for (std::thread& each : all) each.join();
    EXPECT_LT(*std::max_element(std::begin(most), std::end(most)), bytes_max);
  });
}

// What a whole limit's worth has left is destroyed, and freed by the cycle after that.
TEST(program, DISABLED_makes_many_under_a_limit) {
  test::with_procs(2, [] {
    std::size_t most[allocating] = {};
    wait_group all;
    for (std::size_t& each : most) all.go([&each] { each = make_many(); });
    all.wait();
    std::printf("most %zu MiB\n", *std::max_element(std::begin(most), std::end(most)) / mib);
  });
}

TEST(gc_endings_memory, a_limit_alone_leaves_room_for_what_waits) {
  const test::ended child =
      test::run_program("makes_many_under_a_limit", "GOGC=off GOMEMLIMIT=400MiB");
  EXPECT_EQ(child.status, 0) << child.head();
  const std::size_t at = child.text.find("most ");
  ASSERT_NE(at, std::string::npos) << child.head();
  EXPECT_LT(std::stoul(child.text.substr(at + 5)), 380U);
}

}  // namespace
