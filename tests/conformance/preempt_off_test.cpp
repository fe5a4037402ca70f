// GODEBUG=asyncpreemptoff=1: a goroutine that computes keeps its processor.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>

#include <gort/debug.hpp>
#include <gort/go.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

TEST(preempt, can_be_turned_off) {
  ASSERT_EQ(setenv("GODEBUG", "asyncpreemptoff=1", 1), 0);  // the runtime has not started
  test::with_procs(1, [] {
    detail::atomic<int> others;
    wait_group all;
    all.go([&] {
      gort::sleep(1ms);  // the other one begins
      others.store_relaxed(1);
    });
    all.go([&] {
      const auto end = std::chrono::steady_clock::now() + 200ms;
      while (std::chrono::steady_clock::now() < end) {
      }
      EXPECT_EQ(others.load_relaxed(), 0);
    });
    all.wait();
    EXPECT_EQ(debug::read_scheduler_counts().preemptions, 0U);
  });
}

}  // namespace
}  // namespace gort
