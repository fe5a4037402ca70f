// A memory limit far below what is live, and a GOGC of next to nothing: without the CPU limiter the
// program would do nothing but collect.
#include <algorithm>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include <gort/debug.hpp>
#include <gort/gc.hpp>
#include <gort/runtime.hpp>

#include "gc/control.hpp"
#include "support/cpu_time.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;

struct node {
  gc::ptr<node> next;
  std::uint64_t value = 7;
};

}  // namespace

template <>
inline constexpr bool gort::gc::needs_no_destructor<node> = true;

namespace {

// By the CPU clocks of the process and of the collector's own thread.
struct cpu {
  std::int64_t all_ns = test::cpu_used().count();
  std::int64_t collecting_ns = managed::read_collecting_cpu().total_ns();
};

// 24 MB in a million objects: some tens of milliseconds to mark.
gc::ptr<node> million() {
  gc::ptr<node> live;
  for (int i = 0; i < 1'000'000; ++i) {
    auto made = gc::make<node>();
    made->next = live;
    live = made;
  }
  return live;
}

void drop_a_megabyte() {
  for (int i = 0; i < 1000; ++i) {
    auto p = gc::make_array<char>(1000);
    p[0] = 1;
  }
}

double share_of_collecting(const cpu& begin, const cpu& end) {
  return static_cast<double>(end.collecting_ns - begin.collecting_ns) /
         static_cast<double>(end.all_ns - begin.all_ns);
}

constexpr std::int64_t second_ns = 1'000'000'000;

TEST(gc_limiter, a_death_spiral_leaves_the_program_half_of_the_cpu) {
  test::with_procs(1, [] {
    const gc::ptr<node> live = million();
    debug::set_gc_percent(-1);
    debug::set_memory_limit(1 << 20);
    std::size_t most = 0;
    std::uint64_t made = 0;
    const auto allocate_some = [&] {
      drop_a_megabyte();
      made += 1'000'000;
      most = std::max(most, managed::bytes_in_use());
    };
    const cpu before;
    while (managed::limiter_last_enabled_cycle() == 0) {
      allocate_some();
      ASSERT_LT(cpu().all_ns - before.all_ns, 20 * second_ns) << "it goes on for ever";
    }
    EXPECT_LE(managed::limiter_last_enabled_cycle(), managed::cycles_begun());
    const cpu begin;
    const std::uint32_t cycles = managed::cycles_begun();
    most = made = 0;
    while (cpu().all_ns - begin.all_ns < 2 * second_ns) allocate_some();
    const cpu end;
    const double share = share_of_collecting(begin, end);
    // Half, and what the last cycle is over it.
    EXPECT_LE(share, 0.65);
    EXPECT_GT(managed::cycles_begun(), cycles) << "the limit is not given up";
    EXPECT_GT(made, 0u);
    EXPECT_GT(most, managed::heap_goal()) << "memory was had beyond the goal";
    RecordProperty("share", std::to_string(share));
    std::size_t n = 0;
    for (const node* p = live.get(); p != nullptr; p = p->next.get()) n += p->value == 7 ? 1 : 0;
    EXPECT_EQ(n, 1'000'000u);
    debug::set_memory_limit(INT64_MAX);
    debug::set_gc_percent(100);
  });
}

// GOGC's goal is next to what lives, so the next cycle is due when one has ended.
TEST(gc_limiter, a_tiny_gogc_leaves_it_half_as_well) {
  test::with_procs(1, [] {
    const gc::ptr<node> live = million();
    const int percent = debug::set_gc_percent(1);
    const cpu before;
    while (!managed::is_collecting_capped()) {
      drop_a_megabyte();
      ASSERT_LT(cpu().all_ns - before.all_ns, 20 * second_ns) << "it goes on for ever";
    }
    EXPECT_FALSE(managed::is_limit_suspended()) << "there is none";
    const cpu begin;
    const std::uint32_t cycles = managed::cycles_begun();
    while (cpu().all_ns - begin.all_ns < 2 * second_ns) drop_a_megabyte();
    const double share = share_of_collecting(begin, cpu());
    // Half, and what the last cycle is over it.
    EXPECT_LE(share, 0.65);
    EXPECT_GT(managed::cycles_begun(), cycles) << "GOGC is not given up";
    RecordProperty("share", std::to_string(share));
    runtime::keep_alive(live);
    debug::set_gc_percent(percent);
  });
}

}  // namespace
