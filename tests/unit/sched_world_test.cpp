// What a stop of the world reaches.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <thread>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/debug.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/go.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "sched/schedule.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

// Blocks in `wait`, loses its P, then computes without entering gort: counts until told to stop.
template <class F>
void stop_beside_one_that_computes(F wait) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(pipe2(pipe.data(), O_CLOEXEC), 0);
  detail::atomic<long> counted;
  detail::atomic<bool> stop;
  test::with_procs(1, [&] {
    wait_group all;
    all.go([&] {
      wait([&] {
        char c;
        ASSERT_EQ(read(pipe[0], &c, 1), 1);
        while (!stop.load_relaxed()) counted.fetch_add_relaxed(1);
      });
    });
    gort::sleep(1ms);  // its P is taken: this goroutine runs on
    ASSERT_EQ(write(pipe[1], "x", 1), 1);
    while (counted.load_relaxed() == 0) {
    }
    sched::stop_the_world(-1);
    const long before = counted.load_relaxed();
    std::this_thread::sleep_for(20ms);
    EXPECT_EQ(counted.load_relaxed(), before);
    sched::start_the_world();
    while (counted.load_relaxed() == before) gort::sleep(1ms);
    stop.store_relaxed(true);
    all.wait();
  });
  close(pipe[0]);
  close(pipe[1]);
}

TEST(sched_world, one_that_has_returned_from_an_unannounced_call_is_stopped) {
  for (int i = 0; i < 20; ++i) stop_beside_one_that_computes([](auto f) { f(); });
}

TEST(sched_world, one_that_computes_inside_blocking_is_stopped) {
  for (int i = 0; i < 20; ++i) stop_beside_one_that_computes([](auto f) { blocking(f); });
}

long times_slept() {
  rusage used{};
  getrusage(RUSAGE_THREAD, &used);
  return used.ru_nvcsw;
}

TEST(sched_world, one_that_sleeps_in_the_kernel_is_left_alone) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(pipe2(pipe.data(), O_CLOEXEC), 0);
  detail::atomic<int> reads;
  test::with_procs(1, [&] {
    wait_group all;
    all.go([&] {
      for (int i = 0; i < 2; ++i) {  // the second time it has run without a P
        const long before = times_slept();
        char c;
        ASSERT_EQ(read(pipe[0], &c, 1), 1);
        EXPECT_LT(times_slept() - before, 20);  // it would sleep again after each signal
        reads.fetch_add_relaxed(1);
      }
    });
    for (int i = 0; i < 2; ++i) {
      gort::sleep(2ms);
      for (int k = 0; k < 100; ++k) {
        sched::stop_the_world(-1);
        sched::start_the_world();
      }
      ASSERT_EQ(write(pipe[1], "x", 1), 1);
      while (reads.load_relaxed() == i) std::this_thread::yield();  // this goroutine stays on its P
    }
    all.wait();
  });
  close(pipe[0]);
  close(pipe[1]);
}

}  // namespace
}  // namespace gort
