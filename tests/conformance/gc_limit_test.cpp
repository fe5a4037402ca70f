// The memory limit: what it counts, the goal it leaves, and GOMEMLIMIT.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gort/debug.hpp>
#include <gort/gc.hpp>
#include <gort/runtime.hpp>

#include "base/env.hpp"
#include "gc/control.hpp"
#include "support/gc_support.hpp"
#include "support/program.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;

constexpr std::int64_t none = std::numeric_limits<std::int64_t>::max();
constexpr std::size_t mib = std::size_t{1} << 20;

// Puts the knobs back.
struct knobs_kept {
  int percent = managed::gc_percent();
  std::int64_t limit = debug::set_memory_limit(-1);
  knobs_kept() = default;
  knobs_kept(const knobs_kept&) = delete;
  knobs_kept& operator=(const knobs_kept&) = delete;
  ~knobs_kept() {
    debug::set_gc_percent(percent);
    debug::set_memory_limit(limit);
  }
};

std::int64_t signed_size(std::size_t bytes) { return static_cast<std::int64_t>(bytes); }

// Makes garbage; the most that was in use meanwhile.
std::size_t churn(std::size_t bytes, std::size_t each) {
  std::size_t most = 0;
  for (std::size_t made = 0, n = 0; made < bytes; made += each, ++n) {
    auto p = gc::make_array<char>(each);
    p[0] = 1;
    if (n % 64 == 0) most = std::max(most, managed::read_memory_use().total());
  }
  return most;
}

TEST(gc_limit, returns_what_was_and_a_negative_one_only_reads) {
  const knobs_kept kept;
  EXPECT_EQ(debug::set_memory_limit(-1), none);
  EXPECT_EQ(debug::set_memory_limit(signed_size(500 * mib)), none);
  EXPECT_EQ(debug::set_memory_limit(-7), signed_size(500 * mib));
  EXPECT_EQ(debug::set_memory_limit(0), signed_size(500 * mib));
  EXPECT_EQ(debug::set_memory_limit(none), 0);
  EXPECT_EQ(managed::memory_limit(), managed::no_memory_limit);
}

TEST(gc_limit, collects_alone_where_gogc_is_off) {
  test::with_procs(2, [] {
    const knobs_kept kept;
    auto live = gc::make_array<char>(8 * mib);
    debug::set_gc_percent(-1);
    runtime::gc();
    const std::uint32_t before = managed::cycles_begun();
    constexpr std::size_t room = 32 * mib;
    churn(room, 1000);
    EXPECT_EQ(managed::cycles_begun(), before) << "without a limit nothing is collected";
    runtime::gc();
    const std::size_t limit = managed::read_memory_use().total() + room;
    debug::set_memory_limit(signed_size(limit));
    for (const std::size_t each : {std::size_t{1000}, std::size_t{100'000}, 3 * mib}) {
      const std::uint32_t first = managed::cycles_begun();
      std::size_t most = 0;
      while (managed::cycles_begun() - first < 4 && most < 2 * limit)
        most = std::max(most, churn(room, each));
      EXPECT_LT(most, 2 * limit) << each;
    }
    runtime::keep_alive(live);
  });
}

TEST(gc_limit, the_smaller_goal_counts_and_none_is_below_what_is_marked) {
  test::with_procs(2, [] {
    const knobs_kept kept;
    auto live = gc::make_array<char>(64 * mib);
    debug::set_gc_percent(100);
    runtime::gc();
    EXPECT_GE(managed::heap_goal(), 127 * mib);
    const managed::memory_use all = managed::read_memory_use();
    const std::size_t use = all.total() - all.heap_free;  // free pages are for objects, too
    debug::set_memory_limit(signed_size(use + 32 * mib));
    const std::uint64_t by_limit = managed::heap_goal();
    EXPECT_LE(by_limit, 96 * mib + mib);
    EXPECT_GE(by_limit, 80 * mib);
    debug::set_gc_percent(10);
    EXPECT_LT(managed::heap_goal(), by_limit);
    debug::set_gc_percent(-1);
    debug::set_memory_limit(0);
    runtime::gc();
    EXPECT_GE(managed::heap_goal(), 64 * mib);
    EXPECT_LE(managed::heap_goal(), managed::bytes_in_use());
    runtime::keep_alive(live);
  });
}

TEST(gc_limit, gaps_are_filled_before_it_is_collected_again) {
  test::with_procs(2, [] {
    const knobs_kept kept;
    debug::set_gc_percent(-1);
    const auto live = test::make_heap_with_gaps(400'000);
    const managed::memory_use use = managed::read_memory_use();
    const std::size_t limit = use.total() - use.heap_free;
    debug::set_memory_limit(signed_size(limit));
    runtime::gc();
    const std::uint32_t first = managed::cycles_begun();
    churn(100 * mib, 112);  // in gaps of 33 MB
    EXPECT_LE(managed::cycles_begun() - first, 30u);
    // What has no room in them is not let go on for long.
    const std::size_t most = churn(100 * mib, 1000);
    EXPECT_LE(most, limit + 16 * mib);
  });
}

TEST(gc_limit, counts_stacks_and_tables) {
  test::with_procs(2, [] {
    const knobs_kept kept;
    debug::set_memory_limit(signed_size(std::size_t{1} << 40));
    const managed::memory_use before = managed::read_memory_use();
    constexpr int goroutines = 300;
    auto ready = make_chan<char>();
    auto stop = make_chan<char>();
    for (int i = 0; i < goroutines; ++i) {
      go([ready, stop]() mutable {
        std::array<char, 100'000> frame;
        asm volatile("" : : "r"(frame.data()) : "memory");
        std::fill(frame.begin(), frame.end(), 'x');
        asm volatile("" : : "r"(frame.data()) : "memory");
        ready.send(1);
        stop.recv();
      });
    }
    for (int i = 0; i < goroutines; ++i) ready.recv();
    debug::set_memory_limit(signed_size(std::size_t{1} << 40));  // looks
    const managed::memory_use now = managed::read_memory_use();
    EXPECT_GE(now.stacks, before.stacks + goroutines * std::size_t{80'000});
    EXPECT_GT(now.runtime, 0u);
    stop.close();
    std::vector<gc::ptr<int>> small;
    for (int i = 0; i < 2'000'000; ++i) small.push_back(gc::make<int>(i));
    EXPECT_GT(managed::read_memory_use().tables, before.tables + 100'000);
  });
}

TEST(gc_limit, gc_is_a_whole_cycle_whatever_the_knobs_say) {
  test::with_procs(2, [] {
    const knobs_kept kept;
    for (const int percent : {-1, 0, 1, 100, 1000}) {
      for (const std::int64_t limit : {none, std::int64_t{0}, std::int64_t{1} << 30}) {
        debug::set_gc_percent(percent);
        debug::set_memory_limit(limit);
        test::on_a_stack_of_its_own([] {
          for (int i = 0; i < 8; ++i) gc::make_array<char>(4 * mib)[0] = 1;
        });
        const std::uint32_t begun = managed::cycles_begun();
        runtime::gc();
        EXPECT_GE(managed::cycles_ended() - begun, 1u);
        // Of eight; a word of a dead frame may keep one.
        EXPECT_LT(managed::bytes_in_use(), 12 * mib) << percent << ' ' << limit;
      }
    }
    debug::set_memory_limit(none);
    debug::set_gc_percent(0);
    EXPECT_EQ(managed::gc_percent(), 100);
    EXPECT_EQ(debug::set_gc_percent(-7), 100);
    EXPECT_EQ(debug::set_gc_percent(100), -1);
  });
}

TEST(memory_limit_text, as_go_reads_it) {
  using base::read_memory_limit;
  for (const char* text : {"", "off"}) EXPECT_EQ(read_memory_limit(text), none) << text;
  EXPECT_EQ(read_memory_limit("0"), 0u);
  EXPECT_EQ(read_memory_limit("17"), 17u);
  EXPECT_EQ(read_memory_limit("17B"), 17u);
  EXPECT_EQ(read_memory_limit("3KiB"), std::uint64_t{3} << 10);
  EXPECT_EQ(read_memory_limit("900MiB"), std::uint64_t{900} << 20);
  EXPECT_EQ(read_memory_limit("2GiB"), std::uint64_t{2} << 30);
  EXPECT_EQ(read_memory_limit("1TiB"), std::uint64_t{1} << 40);
  EXPECT_EQ(read_memory_limit("9223372036854775807"), none);
  for (const char* text :
       {"10MB", "10 MiB", " 10MiB", "10MiB ", "-1", "+1", "1.5GiB", "MiB", "B", "10mib", "10KB",
        "OFF", "abc", "9223372036854775808", "8388608TiB", "0x10"})
    EXPECT_FALSE(read_memory_limit(text)) << text;
}

TEST(program, DISABLED_says_its_limit) {
  test::with_procs(1, [] {
    (void)gc::make<int>(1);
    std::printf("limit %lld\n", static_cast<long long>(debug::set_memory_limit(-1)));
  });
}

TEST(gc_limit, gomemlimit_is_heeded_and_a_malformed_one_ends_the_program) {
  for (const auto& [text, limit] : {std::pair{"900MiB", std::int64_t{900} << 20},
                                    std::pair{"off", none}, std::pair{"", none}}) {
    const auto out = test::run_program("says_its_limit", "GOMEMLIMIT=" + std::string(text));
    EXPECT_EQ(out.status, 0) << out.head();
    EXPECT_TRUE(out.has("limit " + std::to_string(limit) + "\n")) << out.head();
  }
  const auto out = test::run_program("says_its_limit", "GOMEMLIMIT=10MB");
  EXPECT_EQ(out.status, 2);
  EXPECT_TRUE(out.has("GOMEMLIMIT=10MB\nfatal error: malformed GOMEMLIMIT; see ")) << out.head();
  EXPECT_FALSE(out.has("limit ")) << out.head();
}

}  // namespace
