// A heap that has gone quiet is collected though its goal is far, and gives back what is free; then
// nothing more happens. The bounds are on a hang: without that it would take two minutes.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <gort/debug.hpp>
#include <gort/gc.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>

#include "gc/control.hpp"
#include "gc/pacer.hpp"
#include "gc/quiet.hpp"
#include "support/gc_support.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;
using namespace std::chrono_literals;

constexpr std::size_t mib = std::size_t{1} << 20;

template <class Condition>
bool comes_true(Condition condition) {
  const auto give_up = std::chrono::steady_clock::now() + 60s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    gort::sleep(10ms);
  }
  return true;
}

gc::ptr<char> filled(std::size_t bytes) {
  auto made = gc::make_array<char>(bytes);
  for (std::size_t i = 0; i < bytes; i += 512) made[static_cast<std::ptrdiff_t>(i)] = 'x';
  return made;
}

void leave_garbage(std::size_t bytes) {
  test::on_a_stack_of_its_own([bytes] {
    for (std::size_t made = 0; made < bytes; made += 8000) (void)filled(8000);
  });
}

std::uint32_t forced_cycles() {
  runtime::mem_stats now;
  runtime::read_mem_stats(now);
  return now.num_forced_gc;
}

TEST(gc_quiet, garbage_below_the_goal_is_collected_and_given_back) {
  test::with_procs(2, [] {
    const auto kept = filled(64 * mib);
    runtime::gc();
    const std::uint32_t cycles = managed::cycles_ended();
    const std::uint32_t forced = forced_cycles();
    const auto begin = std::chrono::steady_clock::now();
    leave_garbage(24 * mib);  // the goal is 128 MiB
    const std::uint32_t cycles_now = managed::cycles_ended();
    // Whoever is held up for a second is quiet.
    if (std::chrono::steady_clock::now() - begin < 1s) {
      EXPECT_EQ(cycles_now, cycles);
    }
    EXPECT_TRUE(comes_true([] { return managed::bytes_in_use() < 70 * mib; }));
    EXPECT_TRUE(comes_true([] { return managed::read_memory_use().heap_free < mib; }));
    EXPECT_EQ(forced_cycles(), forced) << "the program has not asked for it";
    runtime::keep_alive(kept);
  });
}

TEST(gc_quiet, so_is_what_died_after_the_last_cycle_had_found_it) {
  test::with_procs(2, [] {
    test::on_a_stack_of_its_own([] {
      // More than was in use in quiet. Not in one piece: a word of a dead frame may keep any.
      std::vector<gc::ptr<char>> burst;
      for (int i = 0; i < 128; ++i) burst.push_back(filled(mib));
      runtime::gc();
      runtime::keep_alive(burst.front());
    });
    EXPECT_TRUE(comes_true([] { return managed::bytes_in_use() < 8 * mib; }));
  });
}

struct holder {
  explicit holder(std::size_t bytes) : held(filled(bytes)) {}
  ~holder() { ended.fetch_add_relaxed(1); }
  gc::ptr<char> held;
  char rest[100'000];
  static inline detail::atomic<int> ended;
};

TEST(gc_quiet, so_is_what_has_met_its_end) {
  test::with_procs(2, [] {
    constexpr int count = 100;
    test::on_a_stack_of_its_own([] {
      for (int i = 0; i < count; ++i) (void)gc::make<holder>(100'000);
    });
    EXPECT_TRUE(comes_true([] { return holder::ended.load_relaxed() >= count - 2; }));
    EXPECT_TRUE(comes_true([] { return managed::bytes_in_use() < 8 * mib; }));
  });
}

// Each thread's voluntary switches tell of wake-ups.
long wake_ups_of_collector() {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream status(task.path() / "status");
    bool found = false;
    for (std::string line; std::getline(status, line);) {
      found = found || line == "Name:\tgort-gc";
      constexpr std::string_view key = "voluntary_ctxt_switches:";
      if (found && line.starts_with(key)) return std::stol(line.substr(key.size()));
    }
  }
  return 0;
}

// Less than would be worth a collection, even with a mebibyte more: so it is not waiting for one
// that may not come yet.
bool nothing_is_worth_while() {
  using managed::now;
  const std::size_t from =
      managed::quiet_watch::worth_from(now.found.load_relaxed(), now.quiet_found.load_relaxed());
  return managed::bytes_in_use() + 2 * mib < from && managed::read_memory_use().heap_free < mib;
}

TEST(gc_quiet, then_the_collector_sleeps) {
  test::with_procs(2, [] {
    leave_garbage(24 * mib);
    runtime::gc();
    EXPECT_TRUE(comes_true(nothing_is_worth_while));
    long before = -1;
    EXPECT_TRUE(comes_true([&] {
      const long now = wake_ups_of_collector();
      const bool same = now == before;
      before = now;
      if (!same) gort::sleep(1500ms);
      return same;
    }));
    const std::uint32_t cycles = managed::cycles_ended();
    leave_garbage(mib);  // not worth it
    gort::sleep(2500ms);
    EXPECT_EQ(wake_ups_of_collector(), before);
    EXPECT_EQ(managed::cycles_ended(), cycles);
  });
}

}  // namespace
