// gort::metrics of time: stops of the world, latencies, waits for mutexes, CPU time; and that
// nothing cumulative ever decreases.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/metrics.hpp>
#include <gort/mutex.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "record/event_sampler.hpp"
#include "support/metrics_support.hpp"
#include "support/parked.hpp"
#include "support/run.hpp"

namespace {

using namespace std::chrono_literals;
using gort::metrics::sample;
using gort::metrics::value_kind;
using gort::test::read_all;
using gort::test::times;
using gort::test::whole;
using gort::test::with_procs;

// --- stops of the world

TEST(metrics_of_time, stops_of_the_world_are_counted_and_reading_is_none) {
  with_procs(1, [] {
    const auto total = times("/sched/pauses/total/other:seconds");
    const auto stopping = times("/sched/pauses/stopping/other:seconds");
    constexpr int stops = 10;
    for (int i = 0; i < stops; ++i) gort::runtime::gomaxprocs(1 + (i + 1) % 2);
    EXPECT_EQ(times("/sched/pauses/total/other:seconds").since(total).total(), 10u);
    EXPECT_EQ(times("/sched/pauses/stopping/other:seconds").since(stopping).total(), 10u);
    const auto before = times("/sched/pauses/total/other:seconds");
    std::vector<sample> every;
    for (const auto& each : gort::metrics::all()) every.push_back({std::string(each.name)});
    for (int i = 0; i < 100; ++i) gort::metrics::read(every);
    EXPECT_EQ(times("/sched/pauses/total/other:seconds").since(before).total(), 0u);
    EXPECT_EQ(times("/sched/pauses/total/gc:seconds").total(), 0u);
    EXPECT_EQ(times("/gc/pauses:seconds").total(), 0u);
  });
}

// --- latencies

// Every wake-up is a candidate, and the weights of those that are measured add up to all.
TEST(metrics_of_time, latencies_stand_for_all_that_became_runnable) {
  with_procs(1, [] {
    const auto before = times("/sched/latencies:seconds");
    constexpr std::uint64_t rounds = 200'000;
    auto ping = gort::make_chan<int>(), pong = gort::make_chan<int>();
    gort::wait_group all;
    all.go([&] {
      for (int n : ping) pong.send(n);
    });
    for (std::uint64_t i = 0; i < rounds; ++i) {
      ping.send(1);
      pong.recv();
    }
    ping.close();
    all.wait();
    const std::uint64_t counted = times("/sched/latencies:seconds").since(before).total();
    // Two wake-ups in a round at least; those after the last sample are not counted yet.
    EXPECT_GT(counted, 2 * rounds - 2000);
    EXPECT_LT(counted, 4 * rounds + 2000);
  });
}

// Those that wait for the only processor are seen, whether they wait to start or have been woken.
// One of them is measured at least, whatever has happened before: they are more than the sampler
// ever leaves out. None waits for less than the first of them, which says when it ran.
TEST(metrics_of_time, latencies_are_as_long_as_the_waits) {
  using clock = std::chrono::steady_clock;
  with_procs(1, [] {
    constexpr int many = 2 * gort::record::event_sampler::mean_max;
    gort::detail::atomic<std::int64_t> first_ran_ns;
    const auto now_ns = [] {
      return std::chrono::nanoseconds(clock::now().time_since_epoch()).count();
    };
    const auto ran = [&] {
      std::int64_t nobody = 0;
      first_ran_ns.cas_relaxed(nobody, now_ns());
    };
    const auto expect_seen = [&](auto make_runnable) {
      const auto before = times("/sched/latencies:seconds");
      first_ran_ns.store_relaxed(0);
      make_runnable();
      const std::int64_t made_ns = now_ns();
      while (now_ns() - made_ns < 5'000'000 && first_ran_ns.load_relaxed() == 0) {
      }
      while (whole("/sched/goroutines/runnable:goroutines") != 0) gort::runtime::gosched();
      // 5 ms, unless this goroutine is preempted earlier.
      const double waited = static_cast<double>(first_ran_ns.load_relaxed() - made_ns) / 1e9;
      EXPECT_GE(times("/sched/latencies:seconds").since(before).percentile(1), waited * 0.9);
    };
    gort::wait_group all;
    auto c = gort::make_chan<int>(many);
    expect_seen([&] {
      for (int i = 0; i < many; ++i) {
        all.go([&] {
          ran();
          c.recv();
          ran();
        });
      }
    });
    expect_seen([&] {
      for (int i = 0; i < many; ++i) c.send(i);
    });
    all.wait();
  });
}

TEST(metrics_of_time, waits_for_a_mutex) {
  with_procs(2, [] {
    const auto seconds = [] {
      return read_all({"/sync/mutex/wait/total:seconds"})
          .at("/sync/mutex/wait/total:seconds")
          .float64();
    };
    const double before = seconds();
    const gort::test::arrivals since;
    gort::mutex m;
    gort::wait_group all;
    m.lock();
    constexpr int waiters = 5;
    for (int i = 0; i < waiters; ++i) {
      all.go([&] {
        m.lock();
        m.unlock();
      });
    }
    since.wait_for(waiters, gort::test::wait_reason::sync_mutex_lock);
    gort::sleep(10ms);
    m.unlock();
    all.wait();
    EXPECT_GT(seconds() - before, waiters * 0.010 * 0.9);
  });
}

// --- CPU time

TEST(metrics_of_time, the_classes_of_cpu_time_add_up_and_idle_time_passes) {
  with_procs(2, [] {
    const std::vector<std::string> names{
        "/cpu/classes/total:cpu-seconds",    "/cpu/classes/user:cpu-seconds",
        "/cpu/classes/idle:cpu-seconds",     "/cpu/classes/scavenge/total:cpu-seconds",
        "/cpu/classes/gc/total:cpu-seconds",
    };
    const auto began = std::chrono::steady_clock::now();
    auto before = read_all(names);
    gort::sleep(30ms);
    auto now = read_all(names);
    const double passed =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    const auto grown = [&](std::size_t i) {
      return now[names[i]].float64() - before[names[i]].float64();
    };
    EXPECT_NEAR(now[names[0]].float64(),
                now[names[1]].float64() + now[names[2]].float64() + now[names[3]].float64() +
                    now[names[4]].float64(),
                1e-6);
    // GOMAXPROCS times the time between the readings.
    EXPECT_LE(grown(0) - grown(3), 2 * passed + 1e-6);
    EXPECT_GE(grown(0), 2 * 0.030);
    // Both slept at least once, if others left us any time at all.
    EXPECT_GT(grown(2), 0);
    EXPECT_GE(grown(1), 0);
  });
}

// --- under load

TEST(metrics_of_time, nothing_cumulative_decreases_while_all_of_it_changes) {
  with_procs(4, [] {
    std::vector<sample> last, now;
    for (const auto& each : gort::metrics::all()) {
      if (each.cumulative) last.push_back({std::string(each.name)});
    }
    now = last;
    gort::metrics::read(last);
    gort::detail::atomic<std::uint32_t> stop;
    gort::wait_group all;
    for (int i = 0; i < 4; ++i) {
      all.go([&] {
        auto token = gort::make_chan<int>();
        while (stop.load_relaxed() == 0) {
          gort::wait_group some;
          for (int n = 0; n < 20; ++n) some.go([&] { token.recv(); });
          for (int n = 0; n < 20; ++n) token.send(n);
          some.wait();
          gort::blocking([] {});
        }
      });
    }
    all.go([&] {
      for (int n = 0; stop.load_relaxed() == 0; ++n) {
        gort::runtime::gomaxprocs(2 + n % 3);
        gort::sleep(1ms);
      }
    });
    for (int i = 0; i < 300; ++i) {
      gort::metrics::read(now);
      for (std::size_t n = 0; n < now.size(); ++n) {
        const auto& before = last[n].value;
        const auto& after = now[n].value;
        switch (after.kind()) {
          case value_kind::uint64: ASSERT_GE(after.uint64(), before.uint64()) << now[n].name; break;
          case value_kind::float64:
            ASSERT_GE(after.float64(), before.float64()) << now[n].name;
            break;
          case value_kind::float64_histogram:
            for (std::size_t b = 0; b < after.float64_histogram().counts.size(); ++b)
              ASSERT_GE(after.float64_histogram().counts[b], before.float64_histogram().counts[b])
                  << now[n].name << " bucket " << b;
            break;
          case value_kind::bad: FAIL() << now[n].name;
        }
      }
      std::swap(last, now);
      gort::runtime::gosched();
    }
    stop.store_relaxed(1);
    all.wait();
  });
}

}  // namespace
