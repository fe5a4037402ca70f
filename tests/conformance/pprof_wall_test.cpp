// The wall profile of goroutines whose whereabouts are known.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <ctime>
#include <mutex>
#include <string>
#include <thread>

#include <gort/chan.hpp>
#include <gort/error.hpp>
#include <gort/go.hpp>
#include <gort/mutex.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "base/sanitizer.hpp"
#include "support/pprof_world.hpp"
#include "support/profile_reader.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

std::atomic<unsigned> sink;

[[gnu::always_inline]] inline void burn(std::chrono::nanoseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < end)
    for (unsigned i = 0; i < 2000; ++i) sink.store(i, std::memory_order_relaxed);
}

[[gnu::noinline]] void computes() {
  burn(400ms);
  sink.store(1, std::memory_order_relaxed);
}
[[gnu::noinline]] void computes_too() {
  burn(400ms);
  sink.store(2, std::memory_order_relaxed);
}
[[gnu::noinline]] void sleeps_in_a_library() {
  std::this_thread::sleep_for(300ms);
  sink.store(3, std::memory_order_relaxed);
}
[[gnu::noinline]] void sleeps() {
  gort::sleep(300ms);
  sink.store(4, std::memory_order_relaxed);
}
[[gnu::noinline]] void waits_locked_to_its_thread(chan<int>& end) {
  runtime::lock_os_thread();
  end.recv();
  runtime::unlock_os_thread();
}

// As one that is kept from its CPU.
[[gnu::noinline]] void hears_late_of_looks() {
  sigset_t urgent, before;
  sigemptyset(&urgent);
  sigaddset(&urgent, SIGURG);
  pthread_sigmask(SIG_BLOCK, &urgent, &before);
  burn(300ms);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  burn(50ms);
  sink.store(5, std::memory_order_relaxed);
}

template <class F>
test::read_profile wall_of(F f) {
  std::string packed;
  pprof::start_wall_profile([&](std::string_view piece) { packed += piece; });
  f();
  pprof::stop_wall_profile();
  return test::profile_reader::read(test::gunzip(packed));
}

// Anew until somebody had a CPU to look.
test::read_profile wall_while_asleep(std::chrono::milliseconds time) {
  for (;;) {
    test::read_profile p = wall_of([time] { gort::sleep(time); });
    if (!p.samples.empty()) return p;
  }
}

// Of the samples through `function` in that state.
double wall_ms(const test::read_profile& p, const std::string& function, const std::string& state) {
  double sum = 0;
  for (const auto& each : p.samples) {
    if (each.labels.at("state") != state) continue;
    if (each.functions().find(function) == std::string::npos) continue;
    sum += static_cast<double>(each.values[1]) / 1e6;
  }
  return sum;
}

// Fewer than are looked at each time: nothing is left to chance.
TEST(wall_profile, those_that_wait_are_there_all_the_time) {
  run([] {
    const shop::crowd all(10, 5);
    const test::read_profile p = wall_while_asleep(300ms);
    EXPECT_EQ(p.types, (std::vector<std::string>{"samples/count", "wall/nanoseconds"}));
    EXPECT_EQ(p.period_type, "wall/nanoseconds");
    EXPECT_GE(p.duration_ns, 300'000'000);
    const double at_the_till = wall_ms(p, "wait_at_the_till", "chan receive");
    const double for_goods = wall_ms(p, "wait_for_goods", "chan receive");
    EXPECT_GT(for_goods, 0);
    EXPECT_NEAR(at_the_till, 2 * for_goods, 0.02 * at_the_till);
    // No more than there was; the last look is some time before the end.
    EXPECT_LE(at_the_till, 10 * static_cast<double>(p.duration_ns) / 1e6);
    EXPECT_EQ(wall_ms(p, "wait_at_the_till", "running"), 0);
  });
}

TEST(wall_profile, looks_that_come_late_count_together) {
  if (base::with_tsan) return;
  test::with_procs(2, [] {
    double had = 0;
    double wall = 0;
    do {  // until whoever looks had a CPU, too
      const test::read_profile p = wall_of([] { hears_late_of_looks(); });
      had = static_cast<double>(p.duration_ns) / 1e6;
      wall = wall_ms(p, "hears_late_of_looks", "running");
    } while (wall < 50);
    EXPECT_GT(wall, 200);
    EXPECT_LT(wall, had);
  });
}

TEST(wall_profile, tells_what_everybody_does) {
  // Handlers run under ThreadSanitizer when it likes.
  if (base::with_tsan) return;
  test::with_procs(2, [] {
    test::read_profile p;
    const auto seen = [&p](const char* who, const char* state) {
      return wall_ms(p, who, state) > 0;
    };
    do {  // until there was a CPU for looking at each of them
      chan<int> end = make_chan<int>();
      wait_group all;
      p = wall_of([&] {
        all.go([] { pprof::with_labels(pprof::labels("who", "ann"), [] { computes(); }); });
        all.go([] { sleeps_in_a_library(); });
        all.go([] { pprof::with_labels(pprof::labels("who", "bob"), [] { sleeps(); }); });
        all.go([&] { waits_locked_to_its_thread(end); });
        gort::sleep(450ms);
      });
      end.close();
      all.wait();
    } while (!seen("computes", "running") || !seen("sleeps_in_a_library", "syscall") ||
             !seen("sleeps", "sleep") || !seen("waits_locked_to_its_thread", "chan receive"));
    for (const auto& each : p.samples) {
      const bool of_ann = each.functions().find("computes") != std::string::npos;
      if (of_ann) {
        EXPECT_EQ(each.labels.at("who"), "ann");
      }
      if (each.functions().find(" sleeps ") != std::string::npos) {
        EXPECT_EQ(each.labels.at("who"), "bob");
      }
    }
  });
}

TEST(wall_profile, one_that_is_preempted_in_place_is_runnable_where_it_was) {
  if (base::with_tsan) return;
  test::with_procs(1, [] {
    wait_group all;
    const test::read_profile p = wall_of([&] {
      all.go([] { computes(); });
      all.go([] { computes_too(); });
      all.wait();
    });
    EXPECT_GT(wall_ms(p, "computes", "running"), 0);
    EXPECT_GT(wall_ms(p, "computes", "runnable"), 0);
  });
}

TEST(wall_profile, one_at_a_time) {
  (void)wall_of([] {
    EXPECT_THROW(pprof::start_wall_profile([](std::string_view) {}), runtime_error);
    std::error_code error;
    pprof::start_wall_profile([](std::string_view) {}, error);
    EXPECT_EQ(error, pprof::errc::wall_profile_in_use);
  });
  pprof::stop_wall_profile();  // none: nothing happens
}

// Goroutines begin, switch, change their labels and end while they are looked at.
TEST(wall_profile, whoever_comes_and_goes_is_not_held_up) {
  test::with_procs(2, [] {
    const auto end = std::chrono::steady_clock::now() + 700ms;
    std::int64_t rounds = 0;
    while (std::chrono::steady_clock::now() < end) {
      (void)wall_of([&] {
        wait_group all;
        chan<int> c = make_chan<int>(1);
        mutex m;
        for (int i = 0; i < 40; ++i) {
          all.go([&, i] {
            pprof::with_labels(pprof::labels("i", std::to_string(i % 5)), [&] {
              for (int k = 0; k < 60; ++k) {
                c.send(k);
                runtime::gosched();
                c.recv();
                const std::lock_guard guard(m);
              }
            });
          });
        }
        all.wait();
      });
      ++rounds;
    }
    EXPECT_GT(rounds, 0);
  });
}

// Many more: on average, and for no more looks.
TEST(wall_profile, of_a_crowd_a_few_are_looked_at_and_stand_for_all) {
  run([] {
    const shop::crowd all(2000, 1000);
    const test::read_profile p = wall_while_asleep(600ms);
    const double at_the_till = wall_ms(p, "wait_at_the_till", "chan receive");
    const double for_goods = wall_ms(p, "wait_for_goods", "chan receive");
    ASSERT_GT(for_goods, 0);
    std::int64_t till_looks = 0;
    for (const auto& each : p.samples)
      till_looks += each.passes("shop::wait_at_the_till") ? each.values[0] : 0;
    constexpr std::int64_t period_ns = 10'000'000, looks_each = 32;
    EXPECT_LE(p.total(0), looks_each * (p.duration_ns / period_ns + 1));
    if (till_looks < 600) return;  // too loaded a machine to tell anything about the average
    EXPECT_NEAR(at_the_till / for_goods, 2, 0.7);
    // All of them, all the time: though few were looked at.
    const double all_ms = 3000 * static_cast<double>(p.duration_ns) / 1e6;
    EXPECT_GE(at_the_till + for_goods, all_ms * 0.5);
    EXPECT_LE(at_the_till, 2000 * static_cast<double>(p.duration_ns) / 1e6 * 1.3);
  });
}

}  // namespace
}  // namespace gort
