// Exact CPU time, of goroutines and by labels: compared with the clocks of the threads on which
// they ran. What one knows of its own time lies between two readings inside and two outside of it,
// so nothing here depends on how fast anything is.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>
#include <thread>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "support/cpu_time.hpp"
#include "support/pprof_world.hpp"
#include "support/profile_reader.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

nanoseconds thread_cpu() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + nanoseconds(now.tv_nsec);
}

std::atomic<unsigned> sink;

// Calls nothing of gort, so it stays on its thread. Returns what the thread has used meanwhile.
[[gnu::noinline]] nanoseconds burn(nanoseconds time) {
  const nanoseconds begin = thread_cpu();
  nanoseconds now = begin;
  while (now - begin < time) {
    for (unsigned i = 0; i < 2000; ++i) sink.store(i, std::memory_order_relaxed);
    now = thread_cpu();
  }
  return now - begin;
}

nanoseconds of_labels(const pprof::label_set& wanted) {
  for (const auto& each : pprof::cpu_time_by_labels()) {
    if (each.labels.size() != wanted.size()) continue;
    bool same = true;
    for (std::size_t i = 0; i < wanted.size(); ++i) same = same && each.labels[i] == wanted[i];
    if (same) return each.time;
  }
  return 0ns;
}

class accounting {
 public:
  accounting() { EXPECT_FALSE(runtime::set_cpu_accounting(true)); }
  ~accounting() { EXPECT_TRUE(runtime::set_cpu_accounting(false)); }
};

// What `f` uses, by the goroutine's own time, which f may spend on several threads. `known`: what f
// returns, which it has measured itself.
template <class F>
void expect_at_least(F f) {
  const nanoseconds before = runtime::goroutine_cpu_time();
  const nanoseconds known = f();
  const nanoseconds used = runtime::goroutine_cpu_time() - before;
  EXPECT_GE(used, known);
}

TEST(goroutine_cpu_time, is_the_threads_while_it_stays_there) {
  const accounting on;
  run([] {
    runtime::gosched();
    const nanoseconds outside = thread_cpu();
    const nanoseconds before = runtime::goroutine_cpu_time();
    const nanoseconds inside = thread_cpu();
    burn(5ms);
    const nanoseconds inside_end = thread_cpu();
    const nanoseconds after = runtime::goroutine_cpu_time();
    const nanoseconds outside_end = thread_cpu();
    EXPECT_GE(after - before, inside_end - inside);
    EXPECT_LE(after - before, outside_end - outside);
  });
}

TEST(goroutine_cpu_time, of_a_plain_thread_is_all_that_it_has_used) {
  const nanoseconds before = thread_cpu();
  const nanoseconds told = runtime::goroutine_cpu_time();
  EXPECT_GE(told, before);
  EXPECT_LE(told, thread_cpu());
}

// Nobody is charged for what others do meanwhile: on one P, of which each has a share.
TEST(goroutine_cpu_time, those_who_share_a_processor_have_each_their_own) {
  const accounting on;
  const nanoseconds process = test::cpu_used();
  std::atomic<std::int64_t> told{0};
  test::with_procs(1, [&] {
    wait_group all;
    for (int i = 0; i < 3; ++i) {
      all.go([&told, i] {
        expect_at_least([i] {
          nanoseconds known{};
          for (int round = 0; round < 40; ++round) {
            known += burn(200us * (i + 1));
            runtime::gosched();
          }
          return known;
        });
        told.fetch_add(runtime::goroutine_cpu_time().count(), std::memory_order_relaxed);
      });
    }
    all.wait();
  });
  // Were one charged for another, the sum would be three times as much.
  EXPECT_LE(nanoseconds(told.load(std::memory_order_relaxed)), test::cpu_used() - process);
}

// In place, without a P, announced and not, locked to a thread.
TEST(goroutine_cpu_time, goes_wherever_the_goroutine_goes) {
  const accounting on;
  const nanoseconds process = test::cpu_used();
  std::atomic<std::int64_t> told{0};
  test::with_procs(1, [&] {
    wait_group all;
    const auto begin = [&](auto f) {
      all.go([&told, f] {
        expect_at_least(f);
        told.fetch_add(runtime::goroutine_cpu_time().count(), std::memory_order_relaxed);
      });
    };
    // Two that compute for several slices: preempted in place.
    for (int i = 0; i < 2; ++i) begin([] { return burn(35ms); });
    // Asleep where nobody has announced it, and computing afterwards: a stray, while others wait.
    begin([] {
      const nanoseconds before = burn(1ms);
      std::this_thread::sleep_for(20ms);
      return before + burn(15ms);
    });
    begin([] { return blocking([] { return burn(15ms); }) + burn(1ms); });
    begin([] {
      runtime::lock_os_thread();
      nanoseconds known = burn(5ms);
      gort::sleep(1ms);
      known += burn(5ms);
      runtime::unlock_os_thread();
      return known;
    });
    begin([] {
      nanoseconds known{};
      for (int i = 0; i < 20; ++i) {
        known += burn(100us);
        gort::sleep(100us);
      }
      return known;
    });
    all.wait();
  });
  EXPECT_LE(nanoseconds(told.load(std::memory_order_relaxed)), test::cpu_used() - process);
}

TEST(goroutine_cpu_time, one_that_takes_over_a_stack_begins_at_nothing) {
  const accounting on;
  test::with_procs(1, [] {
    wait_group all;
    for (int i = 0; i < 50; ++i) {
      all.go([] {
        // Its predecessor on the same stack has burned a millisecond, which is not ours.
        const nanoseconds at_first = runtime::goroutine_cpu_time();
        const nanoseconds known = burn(1ms);
        EXPECT_GE(runtime::goroutine_cpu_time(), known);
        EXPECT_LT(at_first, 1ms);
      });
    }
    all.wait();
  });
}

// --- by labels

TEST(cpu_time_by_labels, each_set_has_what_was_used_under_it) {
  const auto pay = pprof::labels("endpoint", "/pay"), buy = pprof::labels("endpoint", "/buy");
  const accounting on;
  const nanoseconds process = test::cpu_used();
  std::atomic<std::int64_t> paid{0}, bought{0};
  test::with_procs(2, [&] {
    wait_group all;
    for (int i = 0; i < 4; ++i) {
      all.go([&] {
        // A set of its own each time, with the same words.
        pprof::with_labels(pprof::labels("endpoint", "/pay"), [&] {
          paid.fetch_add(burn(3ms).count(), std::memory_order_relaxed);
          runtime::gosched();
          pprof::with_labels(pprof::labels("endpoint", "/buy"), [&] {
            bought.fetch_add(burn(6ms).count(), std::memory_order_relaxed);
          });
          wait_group child;  // has its starter's labels
          child.go([&] { paid.fetch_add(burn(1ms).count(), std::memory_order_relaxed); });
          child.wait();
        });
      });
    }
    all.wait();
  });
  const nanoseconds for_pay = of_labels(pay), for_buy = of_labels(buy);
  EXPECT_GE(for_pay.count(), paid.load(std::memory_order_relaxed));
  EXPECT_GE(for_buy.count(), bought.load(std::memory_order_relaxed));
  // No time is in two accounts.
  nanoseconds sum{};
  for (const auto& each : pprof::cpu_time_by_labels()) sum += each.time;
  EXPECT_LE(for_pay + for_buy, test::cpu_used() - process);
  EXPECT_GE(sum, for_pay + for_buy);
}

// One that computes and calls nothing is in the accounts up to the moment at which they are read.
TEST(cpu_time_by_labels, what_runs_is_asked_for_its_time) {
  const accounting on;
  test::with_procs(2, [] {
    std::atomic<std::int64_t> so_far{0};
    std::atomic<bool> enough{false};
    wait_group all;
    all.go([&] {
      pprof::with_labels(pprof::labels("job", "long"), [&] {
        const nanoseconds begin = thread_cpu();
        while (!enough.load(std::memory_order_relaxed)) {
          burn(100us);
          so_far.store((thread_cpu() - begin).count(), std::memory_order_relaxed);
        }
      });
    });
    for (std::int64_t wanted : {2'000'000, 10'000'000, 20'000'000}) {
      while (so_far.load(std::memory_order_relaxed) < wanted) runtime::gosched();
      const std::int64_t known = so_far.load(std::memory_order_relaxed);
      EXPECT_GE(of_labels(pprof::labels("job", "long")).count(), known);
    }
    enough.store(true, std::memory_order_relaxed);
    all.wait();
  });
}

[[gnu::noinline]] void starts_workers(wait_group& all, std::atomic<std::int64_t>& burned) {
  for (int i = 0; i < 3; ++i) {
    all.go([&burned] {
      for (int round = 0; round < 5; ++round) {
        burned.fetch_add(burn(1ms).count(), std::memory_order_relaxed);
        runtime::gosched();
      }
    });
  }
  sink.store(1, std::memory_order_relaxed);
}

TEST(cputime_profile, shows_who_started_those_that_used_it) {
  const accounting on;
  std::atomic<std::int64_t> burned{0};
  test::with_procs(2, [&] {
    wait_group all;
    pprof::with_labels(pprof::labels("tenant", "a"), [&] { starts_workers(all, burned); });
    all.wait();
  });
  const test::read_profile p =
      test::profile_reader::read(test::gunzip(test::written("cputime", 0)));
  EXPECT_EQ(p.types, (std::vector<std::string>{"runs/count", "cpu/nanoseconds"}));
  EXPECT_EQ(p.period_type, "cpu/nanoseconds");
  std::int64_t used = 0, runs = 0;
  for (const auto& each : p.samples) {
    const auto tenant = each.labels.find("tenant");
    if (tenant == each.labels.end() || tenant->second != "a") continue;
    if (each.functions().find("starts_workers") == std::string::npos) continue;
    runs += each.values[0];
    used += each.values[1];
  }
  EXPECT_GE(used, burned.load(std::memory_order_relaxed));
  EXPECT_GE(runs, 3);
  // The text has the time, as the tools show it: who has used most comes first.
  const std::string text = test::written("cputime", 1);
  constexpr std::string_view title = "cputime profile: total ";
  ASSERT_TRUE(text.starts_with(title)) << text;
  EXPECT_GE(std::strtoll(text.c_str() + title.size(), nullptr, 10), used) << text;
  EXPECT_GE(std::strtoll(text.c_str() + text.find('\n') + 1, nullptr, 10), used) << text;
}

// Off: nothing is counted, and what an earlier time has left behind is not taken for now.
TEST(cpu_accounting, on_and_off_while_everything_runs) {
  const auto twice = pprof::labels("job", "on and off");
  test::with_procs(2, [&] {
    wait_group all;
    std::atomic<bool> enough{false};
    for (int i = 0; i < 3; ++i) {
      all.go([&] {
        pprof::with_labels(twice, [&] {
          while (!enough.load(std::memory_order_relaxed)) {
            burn(300us);
            runtime::gosched();
          }
        });
      });
    }
    nanoseconds most{};
    for (int round = 0; round < 5; ++round) {
      const nanoseconds before = test::cpu_used();
      runtime::set_cpu_accounting(true);
      const nanoseconds known = of_labels(twice);
      while (of_labels(twice) == known) gort::sleep(5ms);
      runtime::set_cpu_accounting(false);
      most += test::cpu_used() - before;
      gort::sleep(10ms);  // of which nothing counts
    }
    enough.store(true, std::memory_order_relaxed);
    all.wait();
    EXPECT_GT(of_labels(twice), 0ns);
    EXPECT_LE(of_labels(twice), most);
  });
}

}  // namespace
}  // namespace gort
