// What a stop of the world reaches.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <thread>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/debug.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/detail/park.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "sched/switching/schedule.hpp"
#include "support/metrics_support.hpp"
#include "support/parked.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

// Whose goroutine is in a call.
void until_a_p_was_taken() {
  while (test::whole("/gort/sched/threads/strays:threads") == 0) gort::sleep(1ms);
}

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
    until_a_p_was_taken();  // this goroutine runs on
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
  detail::atomic<os::thread_handle> reader;
  test::with_procs(1, [&] {
    wait_group all;
    all.go([&] {
      reader.store_release(os::this_thread());  // pairs with the acquire in until_asleep()
      for (int i = 0; i < 2; ++i) {             // the second time it has run without a P
        const long before = times_slept();
        char c;
        ASSERT_EQ(read(pipe[0], &c, 1), 1);
        EXPECT_LT(times_slept() - before, 20);  // it would sleep again after each signal
        reads.fetch_add_relaxed(1);
      }
    });
    until_a_p_was_taken();
    for (int i = 0; i < 2; ++i) {
      test::until_asleep(reader);  // this goroutine stays on its P
      for (int k = 0; k < 100; ++k) {
        sched::stop_the_world(-1);
        sched::start_the_world();
      }
      ASSERT_EQ(write(pipe[1], "x", 1), 1);
      while (reads.load_relaxed() == i) std::this_thread::yield();
    }
    all.wait();
  });
  close(pipe[0]);
  close(pipe[1]);
}

// It has lost its P asleep, and computes beside one that is idle: it gets that, and the scheduler
// sees what it does.
TEST(sched_world, one_that_computes_without_a_p_gets_one_that_is_idle) {
  test::with_procs(1, [] {
    detail::atomic<bool> ended;
    go([&] {
      const sched::m& here = *detail::current_g()->m;
      const auto has_p = [&] { return here.usable.load_relaxed() != nullptr; };
      while (has_p()) std::this_thread::sleep_for(1ms);
      const auto until = std::chrono::steady_clock::now() + 20s;
      while (!has_p() && std::chrono::steady_clock::now() < until) continue;
      EXPECT_TRUE(has_p());
      ended.store_relaxed(true);
    });
    while (!ended.load_relaxed()) gort::sleep(10ms);  // sysmon does not sleep for long [stray-4]
  });
}

// More Ps than a start of the world wakes Ms for: those in place get them all the same, though
// nobody parks who could look, and nobody is preempted beside an idle P.
TEST(sched_world, new_ps_go_to_those_in_place) {
  constexpr int many = 3;
  detail::atomic<bool> stop;
  std::uint64_t in_place = many;
  test::with_procs(2 * many, [&] {
    wait_group all;
    for (int i = 0; i < 2 * many; ++i)  // so that there are Ms asleep
      all.go([] { std::this_thread::sleep_for(50ms); });
    all.wait();
    runtime::gomaxprocs(1);
    for (int i = 0; i < many; ++i) {
      all.go([&] {
        while (!stop.load_relaxed()) {
        }
      });
    }
    std::thread outside([&] {
      const auto until = std::chrono::steady_clock::now() + 20s;
      const auto wait_for_in_place = [&](std::uint64_t wanted) {
        while ((in_place = debug::read_scheduler_counts().threads_in_place) != wanted &&
               std::chrono::steady_clock::now() < until)
          std::this_thread::sleep_for(1ms);
      };
      wait_for_in_place(many - 1);
      runtime::gomaxprocs(2 * many);
      wait_for_in_place(0);
      stop.store_relaxed(true);
    });
    all.wait();
    outside.join();
  });
  EXPECT_EQ(in_place, 0u);
}

// Those that have just stopped are found by the next start, and those that are being made waited
// for.
TEST(sched_world, stops_that_follow_each_other_cost_no_threads) {
  constexpr int procs_max = 4;
  detail::atomic<bool> stop;
  std::uint64_t most = 0;
  test::with_procs(procs_max, [&] {
    wait_group all;
    for (int i = 0; i < 2; ++i) {
      all.go([&, i] {
        for (int n = 1; !stop.load_relaxed(); ++n) runtime::gomaxprocs(1 + (n + i) % procs_max);
      });
    }
    for (int i = 0; i < 4; ++i) {
      all.go([&] {
        while (!stop.load_relaxed()) runtime::gosched();
      });
    }
    for (int i = 0; i < 500 && most < 100; ++i) {
      gort::sleep(1ms);
      most = std::max(most, debug::read_scheduler_counts().threads);
    }
    stop.store_relaxed(true);
    all.wait();
    runtime::gomaxprocs(procs_max);
  });
  EXPECT_LT(most, 4 * procs_max);
}

}  // namespace
}  // namespace gort
