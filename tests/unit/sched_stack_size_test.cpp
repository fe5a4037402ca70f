// set_max_stack() against goroutines that run, wait and end meanwhile: each gets a whole stack of
// the size in force when it begins.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include <gort/debug.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/wait_group.hpp>

#include "support/run.hpp"

namespace gort {
namespace {

template <std::size_t Bytes>
[[gnu::noinline]] void uses() {
  volatile char frame[Bytes];
  for (std::size_t i = 0; i < Bytes; i += 512) frame[i] = static_cast<char>(i / 512);
  runtime::gosched();
  for (std::size_t i = 0; i < Bytes; i += 512) {
    if (frame[i] != static_cast<char>(i / 512)) std::abort();
  }
}

template <std::size_t Bytes>
[[gnu::noinline]] void start_many(wait_group& all) {
  for (int i = 0; i < 100; ++i) all.go(uses<Bytes>);
  asm volatile("" ::: "memory");  // no tail call
}

// Of the stacks that goroutines of this site have had.
std::pair<std::size_t, std::size_t> usable_of(const std::string& part) {
  std::size_t least = ~std::size_t{0}, most = 0;
  for (const auto& each : debug::stack_usage()) {
    if (each.created_by.find(part) == std::string::npos) continue;
    least = std::min(least, each.usable_bytes);
    most = std::max(most, each.usable_bytes);
  }
  return {least, most};
}

TEST(set_max_stack, sizes_those_that_begin_afterwards) {
  const std::size_t original = debug::set_max_stack(1 << 20);
  for (int procs : {1, 4}) {
    test::with_procs(procs, [] {
      debug::set_stack_sampling(1);
      for (int round = 0; round < 3; ++round) {
        wait_group all;
        EXPECT_EQ(debug::set_max_stack(1 << 20), 1u << 20);
        start_many<700'000>(all);
        all.wait();
        EXPECT_EQ(debug::set_max_stack(128 << 10), 1u << 20);
        start_many<60'000>(all);
        all.wait();
        EXPECT_EQ(debug::set_max_stack(1 << 20), 128u << 10);
      }
      debug::set_stack_sampling(-1);
    });
  }
  const auto [large_least, large_most] = usable_of("start_many<700000");
  EXPECT_GT(large_least, 1'000'000u);
  EXPECT_LT(large_most, 1u << 20);
  const auto [small_least, small_most] = usable_of("start_many<60000");
  EXPECT_GT(small_least, 100'000u);
  EXPECT_LT(small_most, 128u << 10);
  debug::set_max_stack(original);
}

TEST(set_max_stack, may_change_while_others_start_goroutines) {
  const std::size_t original = debug::set_max_stack(0);
  EXPECT_EQ(debug::set_max_stack(original), 16u << 10) << "the least";
  test::with_procs(4, [] {
    detail::atomic<int> running{3};
    wait_group starters;
    for (int s = 0; s < 3; ++s) {
      starters.go([&running] {
        for (int i = 0; i < 30; ++i) {
          wait_group all;
          start_many<30'000>(all);
          all.add(1);
          go({.stack = 96 << 10}, [&all] {
            uses<30'000>();
            all.done();
          });
          all.wait();
        }
        running.fetch_sub_relaxed(1);
      });
    }
    const std::array<std::size_t, 4> limits{128 << 10, 1 << 20, 96 << 10, 200'000};
    for (std::size_t i = 0; running.load_relaxed() != 0; ++i) {
      debug::set_max_stack(limits[i % limits.size()]);
      runtime::gosched();
    }
    starters.wait();
  });
  debug::set_max_stack(original);
}

}  // namespace
}  // namespace gort
