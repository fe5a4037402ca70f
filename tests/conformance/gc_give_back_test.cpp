// Free memory of the managed heap goes back to the system: at once if asked for, and by and by.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <gort/debug.hpp>
#include <gort/gc.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>

#include "gc/control.hpp"
#include "support/gc_support.hpp"
#include "support/program.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;
using namespace std::chrono_literals;

constexpr std::size_t mib = std::size_t{1} << 20;

// "Rss:  1234 kB" of the whole process.
std::size_t memory_of_process(const std::string& what) {
  std::ifstream file("/proc/self/smaps_rollup");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(what + ":", 0) == 0) return std::stoul(line.substr(what.size() + 1)) << 10;
  }
  return 0;
}

// Makes what nothing reaches afterwards. (GOGC is off, so that it stays till it is asked for.)
void leave_garbage(std::size_t bytes) {
  test::on_a_stack_of_its_own([bytes] {
    std::vector<gc::ptr<char>> all;
    for (std::size_t made = 0; made < bytes;) {
      for (const std::size_t n : {std::size_t{100}, std::size_t{5000}, std::size_t{200'000}}) {
        all.push_back(gc::make_array<char>(n));
        for (std::size_t i = 0; i < n; i += 64) all.back()[static_cast<std::ptrdiff_t>(i)] = 'x';
        made += n;
      }
    }
    all.clear();
  });
}

TEST(gc_give_back, free_os_memory_collects_and_gives_back_what_is_free) {
  test::with_procs(2, [] {
    const test::gogc_off off;
    auto kept = gc::make_array<char>(8 * mib);
    for (std::size_t i = 0; i < 8 * mib; ++i) kept[static_cast<std::ptrdiff_t>(i)] = 'k';
    leave_garbage(96 * mib);
    const std::size_t before = memory_of_process("Rss");
    const std::uint64_t given = managed::given_back_bytes();
    debug::free_os_memory();
    EXPECT_LE(managed::bytes_in_use(), 16 * mib);
    EXPECT_GE(managed::given_back_bytes() - given, 80 * mib);
    EXPECT_GE(managed::released_bytes(), 80 * mib);
    EXPECT_LT(managed::read_memory_use().heap_free, mib);
    EXPECT_LE(memory_of_process("Rss") + 70 * mib, before);
    for (std::size_t i = 0; i < 8 * mib; ++i) ASSERT_EQ(kept[static_cast<std::ptrdiff_t>(i)], 'k');
    // What is used again is zero, and counts again.
    auto again = gc::make_array<char>(32 * mib);
    for (std::size_t i = 0; i < 32 * mib; ++i) ASSERT_EQ(again[static_cast<std::ptrdiff_t>(i)], 0);
    EXPECT_GE(managed::read_memory_use().heap, 40 * mib);
  });
}

TEST(gc_give_back, happens_by_itself_for_a_hundredth_of_a_cpu) {
  test::with_procs(2, [] {
    const test::gogc_off off;
    leave_garbage(64 * mib);
    runtime::gc();
    const std::uint64_t given = managed::given_back_bytes();
    const auto wait_while = [](auto condition) {
      while (condition()) gort::sleep(1ms);
    };
    wait_while([&] { return managed::given_back_bytes() == given; });
    const std::int64_t worked_ns = managed::giving_back_ns();
    const auto begin = std::chrono::steady_clock::now();
    std::int64_t seen_ns = worked_ns, rested_for_ns = worked_ns;
    wait_while([&] {
      if (const std::int64_t now_ns = managed::giving_back_ns(); now_ns != seen_ns)
        rested_for_ns = std::exchange(seen_ns, now_ns);
      return managed::read_memory_use().heap_free > mib;
    });
    const std::chrono::nanoseconds worked{managed::giving_back_ns() - worked_ns};
    // Whoever works for a time rests a hundred times as long; not yet for the last time.
    const std::chrono::nanoseconds but_the_last{rested_for_ns - worked_ns};
    EXPECT_LT(but_the_last * 10, std::chrono::steady_clock::now() - begin);
    std::printf("%.1f MiB/s, %.2f ms of work\n",
                static_cast<double>(managed::given_back_bytes() - given) / mib /
                    std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(),
                std::chrono::duration<double, std::milli>(worked).count());
  });
}

TEST(gc_give_back, a_limit_that_is_near_has_free_pages_given_back_after_each_cycle) {
  test::with_procs(2, [] {
    const test::gogc_off off;
    leave_garbage(96 * mib);
    runtime::gc();
    const managed::memory_use use = managed::read_memory_use();
    const std::size_t limit = use.total() - use.heap_free / 2;
    debug::set_memory_limit(static_cast<std::int64_t>(limit));
    runtime::gc();
    runtime::gc();  // the first one wakes its waiters before it gives back
    EXPECT_LE(managed::read_memory_use().total(), limit);
    debug::set_memory_limit(INT64_MAX);
  });
}

TEST(program, DISABLED_says_what_is_given_back_lazily) {
  test::with_procs(2, [] {
    const test::gogc_off off;
    leave_garbage(64 * mib);
    debug::free_os_memory();
    const std::size_t lazy = memory_of_process("LazyFree");
    std::printf("lazy %s\n", lazy >= 48 * mib ? "all" : lazy == 0 ? "none" : "some");
    EXPECT_LT(managed::read_memory_use().heap_free, mib);
    // Dirty as they may be, they are zeroed for who uses them.
    auto again = gc::make_array<char>(64 * mib);
    for (std::size_t i = 0; i < 64 * mib; ++i) ASSERT_EQ(again[static_cast<std::ptrdiff_t>(i)], 0);
    EXPECT_GE(managed::read_memory_use().heap, 64 * mib);
    auto small = gc::make_array<char>(1000);
    for (int i = 0; i < 1000; ++i) ASSERT_EQ(small[i], 0);
  });
}

TEST(gc_give_back, madvdontneed_0_lets_the_system_take_them_later) {
  const auto now = test::run_program("says_what_is_given_back_lazily");
  EXPECT_EQ(now.status, 0) << now.head();
  EXPECT_TRUE(now.has("lazy none")) << now.head();
  const auto later = test::run_program("says_what_is_given_back_lazily", "GODEBUG=madvdontneed=0");
  EXPECT_EQ(later.status, 0) << later.head();
  EXPECT_TRUE(later.has("lazy all")) << later.head();
}

}  // namespace
