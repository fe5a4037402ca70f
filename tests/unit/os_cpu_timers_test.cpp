// Timers on threads' CPU time: one profile after the other, while handlers of the one before may
// still be on their way.
#include "os/cpu_timers.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <thread>

#include <gort/detail/atomic.hpp>

#include "support/cpu_time.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

detail::atomic<std::uint64_t> signals;
void count(std::uint32_t, const void*) noexcept { signals.fetch_add_relaxed(1); }

// Nothing but the timers orders what the threads do: a race is seen where there is one.
TEST(cpu_timers, may_begin_again_while_a_handler_is_late) {
  detail::atomic<bool> over;
  struct sigaction own {};
  struct sigaction before_all {};
  own.sa_handler = [](int) {};
  sigaction(SIGPROF, &own, &before_all);
  std::thread computes([&over] {
    while (!over.load_relaxed()) {
      const auto until = test::thread_cpu_used() + 1ms;
      while (test::thread_cpu_used() < until) {
      }
      raise(SIGPROF);                    // the program's own
      std::this_thread::sleep_for(1us);  // where a sanitizer's runtime delivers signals
    }
  });
  for (int i = 0; i < 10; ++i) {
    const std::uint64_t before = signals.load_relaxed();
    ASSERT_EQ(os::start_cpu_timers(1'000'000, count), 0);
    while (signals.load_relaxed() == before) std::this_thread::sleep_for(1ms);
    os::stop_cpu_timers();
  }
  over.store_relaxed(true);
  computes.join();
  sigaction(SIGPROF, &before_all, nullptr);
}

}  // namespace
}  // namespace gort
