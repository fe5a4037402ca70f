// Threads that have nothing to do end; the records and stacks of those that did are used again.
//
// The program sets GODEBUG for itself, so that nobody has to wait for the default of 5 s.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <thread>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/debug.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "os/proc.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

const bool knob_is_set = setenv("GODEBUG", "mreap=50", 0) == 0;

bool becomes_true(auto f) {
  for (int i = 0; i < 6000; ++i) {
    if (f()) return true;
    gort::sleep(10ms);
  }
  return false;
}

TEST(reap, threads_go_after_a_burst_of_blocking_calls) {
  ASSERT_TRUE(knob_is_set);
  test::with_procs(2, [] {
    constexpr std::uint64_t blocked = 200, spare = 2, procs = 2;
    for (int round = 0; round < 3; ++round) {
      std::array<int, 2> pipe{};
      ASSERT_EQ(pipe2(pipe.data(), O_CLOEXEC), 0);
      wait_group all;
      for (std::uint64_t i = 0; i < blocked; ++i) {
        all.go([&] {
          char c;
          blocking([&] { ASSERT_EQ(read(pipe[0], &c, 1), 1); });
        });
      }
      EXPECT_TRUE(becomes_true([] { return debug::read_scheduler_counts().threads >= blocked; }));
      for (std::uint64_t i = 0; i < blocked; ++i) ASSERT_EQ(write(pipe[1], "x", 1), 1);
      all.wait();
      // The caller's own, and up to two that watch the clock and the network.
      const std::uint64_t bound = procs + spare + 3;
      EXPECT_TRUE(becomes_true([&] { return debug::read_scheduler_counts().threads <= bound; }))
          << debug::read_scheduler_counts().threads;
      // The kernel agrees: sysmon, starter and reports besides.
      EXPECT_TRUE(becomes_true([&] { return os::thread_count() <= static_cast<int>(bound) + 6; }))
          << os::thread_count();
      close(pipe[0]);
      close(pipe[1]);
    }
  });
}

}  // namespace
}  // namespace gort
