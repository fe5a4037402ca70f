// A thread with a real-time priority that waits for one of gort's locks lets its holder go on,
// though that is a thread without, on the same CPU. Red: it yields, which lets nobody go on, and
// each lock it meets costs it a second, or all the time where the system does not throttle it.
#include <sched.h>
#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/detail/atomic.hpp>

#include "support/skip.hpp"

namespace gort {
namespace {

TEST(real_time, a_thread_waits_for_one_without_priority) {
  const auto c = make_chan<int>(1000);
  const auto pass = [c] {
    static_cast<void>(c.try_send(1));
    static_cast<void>(c.try_recv());
  };
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  detail::atomic<bool> stop;
  std::thread plain([&] {
    sched_setaffinity(0, sizeof one, &one);
    while (!stop.load_relaxed()) pass();
  });
  bool possible = false;
  std::thread urgent([&] {
    sched_setaffinity(0, sizeof one, &one);
    pass();
    sched_param priority{};
    priority.sched_priority = 1;
    possible = sched_setscheduler(0, SCHED_FIFO, &priority) == 0;
    for (int i = 0; possible && i < 1000; ++i) {
      pass();
      std::this_thread::sleep_for(std::chrono::microseconds(100));  // now and then at its lock
    }
  });
  urgent.join();
  stop.store_relaxed(true);
  plain.join();
  if (!possible) GORT_SKIP("real-time priorities are not permitted here");
}

}  // namespace
}  // namespace gort
