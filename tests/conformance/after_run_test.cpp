// Goroutines that outlive run(): they stand still, those that compute too, and the next run() finds
// them where they were. One that sleeps in a library's call goes on after it until it waits or
// yields in gort.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <ctime>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/debug.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

// For plain threads, whose waits a run() need not be in progress for.
void wait_until(auto f) {
  for (int i = 0; i < 6000 && !f(); ++i) std::this_thread::sleep_for(10ms);
  ASSERT_TRUE(f());
}

std::chrono::nanoseconds cpu_time() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

TEST(after_run, one_whose_p_was_taken_sleeps_until_the_next_run) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(pipe2(pipe.data(), O_CLOEXEC), 0);
  detail::atomic<bool> has_read;
  detail::atomic<bool> is_over;
  test::with_procs(1, [&] {
    const std::uint64_t before = debug::read_scheduler_counts().unannounced_blocking;
    gort::go([&] {
      char c;
      ASSERT_EQ(read(pipe[0], &c, 1), 1);
      has_read.store_relaxed(true);
      runtime::gosched();
      is_over.store_relaxed(true);
    });
    while (debug::read_scheduler_counts().unannounced_blocking == before) gort::sleep(1ms);
  });
  ASSERT_EQ(write(pipe[1], "x", 1), 1);
  wait_until([&] { return has_read.load_relaxed(); });
  std::this_thread::sleep_for(20ms);  // for it to come to rest
  constexpr auto watched = 500ms;
  const auto before = cpu_time();
  std::this_thread::sleep_for(watched);
  EXPECT_LT(cpu_time() - before, watched / 2) << "it waits for a P by asking again and again";
  EXPECT_FALSE(is_over.load_relaxed());
  gort::run([&] {
    while (!is_over.load_relaxed()) gort::sleep(1ms);
  });
  close(pipe[0]);
  close(pipe[1]);
}

TEST(after_run, one_that_computes_stands_still_until_the_next_run) {
  detail::atomic<bool> go_on;
  detail::atomic<bool> is_over;
  detail::atomic<long> counted;
  test::with_procs(2, [&] {
    gort::go([&] {
      while (!go_on.load_relaxed()) counted.fetch_add_relaxed(1);
      is_over.store_relaxed(true);
    });
    while (counted.load_relaxed() == 0) gort::sleep(1ms);
  });
  for (int i = 0; i < 3; ++i) {
    const long before = counted.load_relaxed();
    std::this_thread::sleep_for(20ms);
    EXPECT_EQ(counted.load_relaxed(), before);
    // Stops of a frozen world leave it where it is.
    const int procs = runtime::gomaxprocs(3 + i);
    std::vector<char> text(1 << 16);
    runtime::stack(text, true);
    runtime::gomaxprocs(procs);
  }
  go_on.store_relaxed(true);
  gort::run([&] {
    while (!is_over.load_relaxed()) gort::sleep(1ms);
  });
}

// One that comes from a call in a frozen world.
TEST(after_run, one_that_comes_late_may_change_gomaxprocs) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(pipe2(pipe.data(), O_CLOEXEC), 0);
  detail::atomic<bool> has_changed;
  detail::atomic<bool> is_over;
  test::with_procs(2, [&] {
    const std::uint64_t before = debug::read_scheduler_counts().unannounced_blocking;
    gort::go([&] {
      char c;
      ASSERT_EQ(read(pipe[0], &c, 1), 1);
      const int procs = runtime::gomaxprocs(3);
      runtime::gomaxprocs(procs);
      has_changed.store_relaxed(true);
      runtime::gosched();
      is_over.store_relaxed(true);
    });
    while (debug::read_scheduler_counts().unannounced_blocking == before) gort::sleep(1ms);
  });
  ASSERT_EQ(write(pipe[1], "x", 1), 1);
  wait_until([&] { return has_changed.load_relaxed(); });
  gort::run([&] {
    while (!is_over.load_relaxed()) gort::sleep(1ms);
  });
  close(pipe[0]);
  close(pipe[1]);
}

// A goroutine that waits for its turn to stop the world when that is frozen must not get it.
TEST(after_run, nobody_who_stands_still_has_the_turn_to_stop_the_world) {
  detail::atomic<bool> stop;
  detail::atomic<int> running;
  for (int i = 0; i < 100; ++i) {
    gort::run([&] {
      if (i == 0) {
        for (int k = 0; k < 3; ++k) {
          gort::go([&, k] {
            running.fetch_add_relaxed(1);
            for (int n = 1; !stop.load_relaxed(); ++n) runtime::gomaxprocs(1 + (n + k) % 4);
            running.fetch_sub_relaxed(1);
          });
        }
      }
      while (running.load_relaxed() < 3) runtime::gosched();
      gort::sleep(100us);
    });
  }
  gort::run([&] {
    stop.store_relaxed(true);
    while (running.load_relaxed() != 0) runtime::gosched();
    runtime::set_default_gomaxprocs();
  });
}

}  // namespace
}  // namespace gort
