// GODEBUG=asyncpreemptoff=1: a goroutine that computes keeps its processor.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ctime>

#include <gort/debug.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
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
    auto begun = make_chan<unit>();
    all.go([&] {
      begun.recv();
      others.store_relaxed(1);
    });
    all.go([&] {
      begun.close();
      const auto end = std::chrono::steady_clock::now() + 200ms;
      while (std::chrono::steady_clock::now() < end) {
      }
      EXPECT_EQ(others.load_relaxed(), 0);
    });
    all.wait();
    EXPECT_EQ(debug::read_scheduler_counts().preemptions, 0U);
  });
  struct sigaction now {};
  ASSERT_EQ(sigaction(SIGURG, nullptr, &now), 0);
  EXPECT_EQ(now.sa_handler, SIG_DFL) << "the signal is the program's";
}

std::int64_t cpu_ns(clockid_t whose) {
  timespec ts{};
  clock_gettime(whose, &ts);
  return ts.tv_sec * std::int64_t{1'000'000'000} + ts.tv_nsec;
}

// A thread that had handed its P to a locked goroutine's kept time for a timer that nobody could
// serve: it woke up every 5 us, and used as much CPU as the goroutine that computed.
TEST(preempt, no_thread_waits_for_a_timer_that_is_overdue) {
  test::with_procs(1, [] {
    wait_group all;
    all.go([&] {
      runtime::lock_os_thread();
      gort::sleep(1ms);  // the other one begins; and another thread must hand over
      const std::int64_t all_before_ns = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
      const std::int64_t own_before_ns = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
      // So much of its own time: others may have the CPU meanwhile.
      constexpr std::int64_t enough_ns = 200'000'000;
      std::int64_t own_ns = 0;
      while (own_ns < enough_ns) own_ns = cpu_ns(CLOCK_THREAD_CPUTIME_ID) - own_before_ns;
      const std::int64_t others_ns = cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - all_before_ns - own_ns;
      EXPECT_LT(others_ns, own_ns / 3);
    });
    all.go([&] { gort::sleep(10ms); });
    all.wait();
  });
}

}  // namespace
}  // namespace gort
