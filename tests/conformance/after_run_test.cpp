// Goroutines that outlive run(): its end does not wait for those in user code. They sleep when they
// next enter gort, and the next run() finds them where they were.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <ctime>
#include <thread>

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

TEST(after_run, one_that_computes_may_change_gomaxprocs) {
  detail::atomic<bool> go_on;
  detail::atomic<bool> has_begun;
  detail::atomic<bool> has_changed;
  detail::atomic<bool> is_over;
  test::with_procs(2, [&] {
    gort::go([&] {
      has_begun.store_relaxed(true);
      while (!go_on.load_relaxed()) {
      }
      const int before = runtime::gomaxprocs(3);
      runtime::gomaxprocs(before);
      has_changed.store_relaxed(true);
      runtime::gosched();
      is_over.store_relaxed(true);
    });
    while (!has_begun.load_relaxed()) gort::sleep(1ms);
  });
  go_on.store_relaxed(true);
  wait_until([&] { return has_changed.load_relaxed(); });
  gort::run([&] {
    while (!is_over.load_relaxed()) gort::sleep(1ms);
  });
}

}  // namespace
}  // namespace gort
