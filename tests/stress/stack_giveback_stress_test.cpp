// Pages below parked goroutines are given back, and never a word that is alive: with the shortest
// patience, so that pages are dropped and goroutines readied at the same moments.
#include <cstdlib>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/go.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "base/sanitizer.hpp"
#include "os/clock.hpp"
#include "os/preempt.hpp"
#include "os/proc.hpp"
#include "os/thread.hpp"
#include "support/run.hpp"
#include "support/seed.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

// Read once, when the runtime starts. A milliseconds' patience unless somebody says otherwise.
[[maybe_unused]] const int short_patience = setenv("GODEBUG", "stackgiveback=1", 0);

bool possible() { return os::fences_running_threads(); }

// Writes all over its frames and looks after each park whether they are still there. `pause` parks.
template <class Pause>
[[gnu::noinline]] bool goes_deep(int depth, unsigned salt, Pause& pause) {
  volatile unsigned frame[256];
  for (unsigned i = 0; i < 256; ++i) frame[i] = salt + i;
  if (depth == 0) {
    pause();
  } else if (!goes_deep(depth - 1, salt * 31 + 7, pause)) {
    return false;
  }
  pause();
  for (unsigned i = 0; i < 256; ++i) {
    if (frame[i] != salt + i) return false;
  }
  return true;
}

// All Ps idle: sysmon comes once more by itself. First of the tests: after a run() the world stands
// still.
TEST(stack_giveback, reaches_a_process_that_falls_idle) {
  if (!possible()) GORT_SKIP("the kernel has no barrier for all threads of a process");
  const auto before = debug::read_stack_counts();
  auto gate = make_chan<int>();
  wait_group all;
  for (int i = 0; i < 300; ++i) {
    all.go([gate] {
      auto nothing = [] {};
      goes_deep(80, 1, nothing);
      gate.recv();
    });
  }
  const std::int64_t patience_end_ns = os::monotonic_ns() + 60'000'000'000;
  while (debug::read_stack_counts().given_back_stacks - before.given_back_stacks < 300 &&
         os::monotonic_ns() < patience_end_ns)
    os::sleep_ns(5'000'000);  // this thread uses nothing of gort
  EXPECT_GE(debug::read_stack_counts().given_back_stacks - before.given_back_stacks, 300u);
  gate.close();
  all.wait();
}

TEST(stack_giveback, returns_the_pages_of_those_that_wait_and_keeps_their_frames) {
  if (!possible()) GORT_SKIP("the kernel has no barrier for all threads of a process");
  test::with_procs(2, [] {
    constexpr int waiting = 400;
    constexpr int depth = 80;  // of 1 KiB and more
    auto gate = make_chan<int>();
    wait_group deep, all;
    detail::atomic<int> intact;
    const auto before = debug::read_stack_counts();
    const std::int64_t resident_before = os::status_bytes("RssAnon:");
    deep.add(waiting);
    for (int i = 0; i < waiting; ++i) {
      all.go([&, i] {
        auto nothing = [] {};
        const auto salt = static_cast<unsigned>(i);
        bool good = goes_deep(depth, salt, nothing);
        volatile unsigned kept[64];
        for (unsigned k = 0; k < 64; ++k) kept[k] = salt ^ k;
        deep.done();
        gate.recv();
        for (unsigned k = 0; k < 64; ++k) good = good && kept[k] == (salt ^ k);
        good = good && goes_deep(depth, salt, nothing);
        if (good) intact.fetch_add_relaxed(1);
      });
    }
    deep.wait();
    constexpr std::uint64_t wanted = std::uint64_t{waiting} * depth * 1024;
    const std::int64_t patience_end_ns = os::monotonic_ns() + 60'000'000'000;
    debug::stack_counts now;
    do {
      gort::sleep(5ms);
      now = debug::read_stack_counts();
    } while ((now.given_back_bytes - before.given_back_bytes < wanted ||
              now.given_back_stacks - before.given_back_stacks < waiting) &&
             os::monotonic_ns() < patience_end_ns);
    EXPECT_GE(now.given_back_bytes - before.given_back_bytes, wanted);
    EXPECT_GE(now.given_back_stacks - before.given_back_stacks, std::uint64_t{waiting});
    if (!base::with_asan && !base::with_tsan) {  // whose own memory is many times that
      EXPECT_LE(os::status_bytes("RssAnon:") - resident_before,
                static_cast<std::int64_t>(wanted / 3))
          << "counted, but did the kernel get it?";
    }
    gate.close();
    all.wait();
    EXPECT_EQ(intact.load_relaxed(), waiting);
  });
}

[[gnu::noinline]] void start_measured(const chan<int>& gate) {
  go([gate] {
    auto nothing = [] {};
    goes_deep(80, 1, nothing);
    gate.recv();
  });
  asm volatile("" ::: "memory");  // or the call would be a jump, and the caller taken for another
}

TEST(stack_giveback, forgets_nothing_of_what_was_used) {
  if (!possible()) GORT_SKIP("the kernel has no barrier for all threads of a process");
  test::with_procs(1, [] {
    const int before_sampling = debug::set_stack_sampling(1);
    auto gate = make_chan<int>();
    const auto before = debug::read_stack_counts();
    start_measured(gate);
    const std::int64_t patience_end_ns = os::monotonic_ns() + 60'000'000'000;
    while (debug::read_stack_counts().given_back_stacks == before.given_back_stacks &&
           os::monotonic_ns() < patience_end_ns)
      gort::sleep(5ms);
    std::size_t mark_bytes = 0;
    for (const auto& each : debug::stack_usage()) {
      if (each.created_by.find("start_measured") != std::string::npos)
        mark_bytes = each.high_water_bytes;
    }
    EXPECT_GE(mark_bytes, 80u * 1024);
    gate.close();
    debug::set_stack_sampling(before_sampling);
  });
}

TEST(stack_giveback, never_takes_what_is_alive) {
  if (!possible()) GORT_SKIP("the kernel has no barrier for all threads of a process");
  for (int procs : {1, 2, 4, 8}) {
    test::with_procs(procs, [procs] {
      const auto before = debug::read_stack_counts();
      const auto end_ns =
          os::monotonic_ns() + static_cast<std::int64_t>(test::stress_seconds() * 1e9);
      constexpr int pairs = 32;
      detail::atomic<int> bad;
      wait_group all;
      for (int i = 0; i < pairs; ++i) {
        auto ball = make_chan<int>();
        all.go([&, ball, i] {
          auto park = [&] { (void)ball.recv(); };
          for (unsigned n = static_cast<unsigned>(i); os::monotonic_ns() < end_ns; ++n) {
            if (!goes_deep(static_cast<int>(n % 60), n, park)) bad.fetch_add_relaxed(1);
          }
          ball.close();
        });
        all.go([&, ball, i] {
          std::mt19937_64 random(test::seed() + static_cast<std::uint64_t>(i));
          // Its partner has just parked, or has for about the patience of sysmon.
          try {
            for (;;) {
              if (random() % 8 == 0) gort::sleep(std::chrono::microseconds(random() % 4000));
              ball.send(1);
            }
          } catch (const std::exception&) {  // closed
          }
        });
      }
      all.wait();
      EXPECT_EQ(bad.load_relaxed(), 0) << "P = " << procs;
      std::printf("P = %d: %llu stacks given back\n", procs,
                  static_cast<unsigned long long>(debug::read_stack_counts().given_back_stacks -
                                                  before.given_back_stacks));
    });
  }
}

}  // namespace
}  // namespace gort
