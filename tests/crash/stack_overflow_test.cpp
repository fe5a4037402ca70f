// Stack overflows and what only looks like one. The programs are the disabled tests below.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <regex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>

#include "base/sanitizer.hpp"
#include "support/metrics_support.hpp"
#include "support/overflow.hpp"
#include "support/parked.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

using namespace test;

// Allocates at every level: the fault is often inside malloc.
[[gnu::noinline]] std::size_t falls_allocating(std::size_t n) {
  std::vector<char>* made = new std::vector<char>(n % 3000 + 1);
  const std::size_t below = n + 1 == 0 ? 0 : falls_allocating(n + 1);
  const std::size_t size = made->size() + below;
  delete made;
  return size;
}

// A frame much larger than any guard, written at its low end first.
[[gnu::noinline]] int one_huge_frame(int n) {
  volatile char frame[600'000];
  frame[n] = 1;
  return frame[n];
}

[[gnu::noinline]] void waits(const chan<int>& c) {
  c.recv();
  asm volatile("" ::: "memory");
}

// ------------------------------------------------------------------------------------ the programs

TEST(program, DISABLED_overflow) {
  run([] {
    const test::arrivals since;
    go({.name = "digger"}, [&since] {
      since.wait_for(1, test::wait_reason::chan_receive);  // main, which is to be seen there
      sets_out();
    });
    make_chan<int>().recv();
  });
}

TEST(program, DISABLED_overflow_of_main) {
  run([] { sets_out(); });
}

TEST(program, DISABLED_overflow_of_an_explicit_stack) {
  run([] {
    go({.stack = 100'000}, sets_out);
    make_chan<int>().recv();
  });
}

TEST(program, DISABLED_overflow_without_run) {
  auto c = make_chan<int>();
  go(sets_out);
  c.recv();
}

TEST(program, DISABLED_overflow_in_malloc) {
  run([] {
    go([] { std::printf("%zu\n", falls_allocating(0)); });
    make_chan<int>().recv();
  });
}

TEST(program, DISABLED_overflow_by_one_frame) {
  run([] {
    go([] { std::printf("%d\n", one_huge_frame(0)); });
    make_chan<int>().recv();
  });
}

TEST(program, DISABLED_overflow_on_two_threads) {
  run([] {
    runtime::gomaxprocs(2);
    go(sets_out);
    go(sets_out);
    make_chan<int>().recv();
  });
}

TEST(program, DISABLED_overflow_among_many) {
  run([] {
    const int others = base::with_tsan ? 500 : 100'000;  // TSan has few fibers
    auto c = make_chan<int>(), there = make_chan<int>(others);
    for (int i = 0; i < others; ++i) {
      go([c, there] {
        there.send(1);
        waits(c);
      });
    }
    for (int i = 0; i < others; ++i) there.recv();  // each has a stack
    while (test::whole("/sched/goroutines/waiting:goroutines") < static_cast<unsigned>(others))
      gort::sleep(std::chrono::milliseconds(1));
    go({.name = "the one"}, sets_out);
    make_chan<int>().recv();
  });
}

// --------------------------------------------------------------------------------------- the tests

TEST(overflow, is_reported_as_go_does_and_names_the_goroutine) {
  const ended p = run_program("overflow");
  expect_report(p, default_limit);
  EXPECT_TRUE(p.has("runtime: goroutine 2 \"digger\" overflowed its stack\n")) << p.head();
  EXPECT_TRUE(p.has("\n\ngoroutine 2 [running] {name: digger}:\n")) << p.head();
  EXPECT_TRUE(p.has("created by ")) << p.head();
  EXPECT_TRUE(p.has("\n\ngoroutine 1 [chan receive]:\n")) << "the others too, as in Go";
  const auto at = addresses(p);
  ASSERT_EQ(at.size(), 3u) << p.head();
  EXPECT_LT(at[0], at[1] + (64 << 10)) << "sp is at the low end";
  EXPECT_GE(at[2] - at[1] + 4096, default_limit);
  EXPECT_LE(at[2] - at[1], default_limit);
}

TEST(overflow, obeys_gotraceback) {
  const ended none = run_program("overflow", "GOTRACEBACK=none");
  EXPECT_EQ(none.status, 2);
  EXPECT_TRUE(none.has("goroutine 2 \"digger\" overflowed")) << none.head();
  EXPECT_FALSE(none.has("[running]")) << none.head();
  const ended system = run_program("overflow", "GOTRACEBACK=system");
  EXPECT_EQ(system.status, 2);
  EXPECT_TRUE(system.has(base::with_tsan ? "4gort6report" : "gort::report::")) << system.head();
  EXPECT_EQ(run_program("overflow", "GOTRACEBACK=crash").status, 134);
}

TEST(overflow, of_every_kind_of_stack) {
  expect_report(run_program("overflow_of_main"), 8 << 20);
  expect_report(run_program("overflow_of_an_explicit_stack"), 100'000);
  expect_report(run_program("overflow_without_run"), default_limit);
}

TEST(overflow, on_two_threads_at_once_is_one_report) {
  const ended p = run_program("overflow_on_two_threads");
  expect_report(p, default_limit);
  EXPECT_EQ(p.count("fatal error: "), 1) << p.head();
}

TEST(overflow, inside_malloc_is_reported_too) {
  GORT_NOT_UNDER(base::with_tsan,
                 "that malloc is its runtime, which a fault does not leave usable");
  for (int i = 0; i < 5; ++i) {
    const ended p = run_program("overflow_in_malloc");
    EXPECT_EQ(p.status, 2) << p.head();
    EXPECT_TRUE(p.has("fatal error: stack overflow\n\ngoroutine ")) << p.head();
    EXPECT_TRUE(p.has("falls_allocating")) << p.head();
    EXPECT_FALSE(p.has("unavailable")) << p.text.substr(p.text.size() - 200);
  }
}

TEST(overflow, a_frame_larger_than_the_guard_does_not_jump_over_it) {
  GORT_NOT_UNDER(base::with_asan, "the frame is smaller than a stack there");
  const ended p = run_program("overflow_by_one_frame");
  EXPECT_EQ(p.status, 2) << p.head();
  EXPECT_TRUE(p.has(limit_line(default_limit))) << p.head();
  EXPECT_TRUE(p.has("one_huge_frame")) << p.head();
}

TEST(overflow, of_one_among_100_000_names_it) {
  const ended p = run_program("overflow_among_many", "", 250);
  expect_report(p, default_limit);
  EXPECT_TRUE(
      std::regex_search(p.text.substr(0, 4000),
                        std::regex("runtime: goroutine [0-9]+ \"the one\" overflowed its stack\n")))
      << p.head();
  const int others = base::with_tsan ? 500 : 100'000;
  EXPECT_GE(p.count("\n\ngoroutine "), others + 2) << "itself, main and all others";
  EXPECT_GE(p.count(" [chan receive]:\n"), others);
}

TEST(overflow, without_guard_install_too) {
  expect_report(run_program("overflow", "GODEBUG=guardinstall=0"), default_limit);
}

}  // namespace
}  // namespace gort
