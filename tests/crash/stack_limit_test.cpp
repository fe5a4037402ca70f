// How large stacks may be and how many there may be: set_max_stack(), and kernels without
// MADV_GUARD_INSTALL, which GODEBUG=guardinstall=0 stands for.
#include <malloc.h>
#include <unistd.h>
#include <cstdio>
#include <regex>
#include <string>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/wait_group.hpp>

#include "base/sanitizer.hpp"
#include "os/proc.hpp"
#include "support/overflow.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

using namespace test;

[[gnu::noinline]] void waits(const chan<int>& c) {
  c.recv();
  asm volatile("" ::: "memory");
}

// ------------------------------------------------------------------------------------ the programs

TEST(program, DISABLED_limits) {
  run([] {
    std::printf("first %zu\n", debug::set_max_stack(3'000'000));
    std::printf("second %zu\n", debug::set_max_stack(8 << 20));
    std::printf("third %zu\n", debug::set_max_stack(1));
    std::printf("fourth %zu\n", debug::set_max_stack(std::size_t{1} << 40));
    std::printf("fifth %zu\n", debug::set_max_stack(5'000'000));
    std::fflush(stdout);
    go({.stack = 64 << 20}, sets_out);  // lowered
    make_chan<int>().recv();
  });
}

TEST(program, DISABLED_below_an_explicit_size) {
  run([] {
    debug::set_max_stack(5'000'000);
    go({.stack = 1 << 20}, sets_out);  // the smaller one is kept
    make_chan<int>().recv();
  });
}

TEST(program, DISABLED_eight_mebibytes) {
  debug::set_max_stack(8 << 20);
  run([] {
    go(sets_out);
    make_chan<int>().recv();
  });
}

TEST(program, DISABLED_many_until_the_end) {
  // malloc must not be the one that finds no mapping left: its heap grows in place.
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_MAX, 0);
  run([] {
    auto c = make_chan<int>();
    for (int i = 0;; ++i) {
      go([c] { waits(c); });
      if (i % 1000 == 0) runtime::gosched();
    }
  });
}

TEST(program, DISABLED_thirty_thousand) {
  run([] {
    constexpr int wanted = 30'000;
    auto gate = make_chan<int>(), there = make_chan<int>(wanted);
    wait_group all;
    for (int i = 0; i < wanted; ++i) {
      all.go([gate, there] {
        there.send(1);
        gate.recv();
      });
    }
    for (int i = 0; i < wanted; ++i) there.recv();
    std::printf("%d at once, light guards: %d\n", wanted, debug::read_stack_counts().light_guards);
    std::fflush(stdout);
    // AddressSanitizer clears 4 GB of its shadow when they end, and then looks for leaks in 30 GB.
    if (base::with_asan) _exit(0);
    gate.close();
    all.wait();
  });
}

// --------------------------------------------------------------------------------------- the tests

TEST(set_max_stack, returns_the_previous_value_and_bounds_explicit_sizes) {
  const ended p = run_program("limits");
  EXPECT_TRUE(p.has("first " + std::to_string(default_limit) +
                    "\nsecond 3000000\nthird 8388608\nfourth 16384\nfifth 1073741824\n"))
      << p.head();
  expect_report(p, 5'000'000);
  const auto at = addresses(p);
  ASSERT_EQ(at.size(), 3u) << p.head();
  EXPECT_LE(at[2] - at[1], 6u << 20) << "rounded up to 3 * 2^n";
  expect_report(run_program("below_an_explicit_size"), 1 << 20);
}

TEST(set_max_stack, of_8_mib_is_8_mib) {
  const ended p = run_program("eight_mebibytes");
  expect_report(p, 8 << 20);
  const auto at = addresses(p);
  ASSERT_EQ(at.size(), 3u) << p.head();
  EXPECT_GE(at[2] - at[1] + 4096, 8u << 20);
  EXPECT_LE(at[2] - at[1], 8u << 20);
}

TEST(old_kernel, has_30_000_goroutines_at_once) {
  GORT_NOT_UNDER(base::with_tsan, "its fibers end first");
  constexpr long default_max = 65'530;
  if (os::mapping_count_max() < default_max) GORT_SKIP("vm.max_map_count is below its default");
  const ended p = run_program("thirty_thousand", "GODEBUG=guardinstall=0", 250);
  EXPECT_EQ(p.status, 0) << p.head();
  EXPECT_TRUE(p.has("30000 at once, light guards: 0\n")) << p.head();
}

TEST(old_kernel, names_max_map_count_when_it_can_go_no_further) {
  GORT_NOT_UNDER(base::with_tsan, "its fibers end first");
  if (os::mapping_count_max() > 200'000) GORT_SKIP("vm.max_map_count is beyond what a test fills");
  const ended p = run_program("many_until_the_end", "GODEBUG=guardinstall=0", 250);
  EXPECT_EQ(p.status, 2) << p.head();
  std::smatch m;
  const std::regex line(
      "fatal error: gort: cannot make a stack of [0-9]+ bytes after ([0-9]+) "
      "others: vm.max_map_count \\([0-9]+\\) is used up \\(before Linux 6.13 ");
  const std::string head = p.head();
  ASSERT_TRUE(std::regex_search(head, m, line)) << head;
  EXPECT_GE(std::stol(m[1]), 30'000);
  EXPECT_TRUE(p.has("waits(...)\n")) << "there is room left for the report\n" << head;
}

}  // namespace
}  // namespace gort
