// Collections in execution traces of real programs, compared with what the heap counts.
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gort/gc.hpp>
#include <gort/runtime.hpp>
#include <gort/trace.hpp>
#include <gort/wait_group.hpp>

#include "os/clock.hpp"
#include "record/managed_heap.hpp"
#include "support/gc_support.hpp"
#include "support/go_tool_trace.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

// The numbers of Go's format.
constexpr std::uint64_t go_create = 14, gc_active = 28, gc_begin = 29, gc_end = 30,
                        sweep_begin = 32, sweep_end = 33, assist_begin = 35, assist_end = 36,
                        heap_alloc = 37, heap_goal = 38;

trace::sink into(std::string& file) {
  return [&file](std::string_view bytes) { file += bytes; };
}

struct node {
  gc::ptr<node> next;
  char rest[56] = {};
};

[[gnu::noinline]] gc::ptr<node> make_list(int n) {
  gc::ptr<node> list;
  for (int i = 0; i < n; ++i) {
    auto longer = gc::make<node>();
    longer->next = std::move(list);
    list = std::move(longer);
  }
  return list;
}

TEST(trace_gc, shows_cycles_sweeps_and_the_size_of_the_heap) {
  std::string file;
  trace::counts how;
  record::managed_facts before, after;
  test::with_procs(2, [&] {
    auto kept = make_list(50'000);
    runtime::gc();  // none is under way when the trace begins
    trace::start(into(file));
    before = record::read_managed_heap();
    constexpr int rounds = 20, garbage = 20'000;
    for (int i = 0; i < rounds; ++i) (void)make_list(garbage);
    runtime::gc();
    after = record::read_managed_heap();
    how = trace::stop();
    runtime::keep_alive(kept);
  });
  test::go_trace_summary seen;
  test::expect_valid_trace(file, &seen);
  EXPECT_EQ(how.lost_events, 0u);
  EXPECT_EQ(how.repairs, 0u);
  const std::uint64_t cycles = after.cycles - before.cycles;
  EXPECT_GT(cycles, 1u);
  EXPECT_EQ(seen.of(gc_begin), cycles);
  EXPECT_EQ(seen.of(gc_end), cycles);
  EXPECT_EQ(seen.of(sweep_begin), cycles);
  EXPECT_EQ(seen.of(sweep_end), cycles);
  EXPECT_EQ(seen.of(assist_begin), seen.of(assist_end));
  EXPECT_GT(seen.of(heap_alloc), 2 * cycles) << "only the collector tells of it";
  std::uint64_t freed = 0, goal = 0, largest = 0;
  int collectors = 0;
  for (const auto& e : seen.events) {
    if (e.type == sweep_end) {
      EXPECT_GE(e.arguments[0], e.arguments[1]);
      freed += e.arguments[1];
    }
    if (e.type == heap_goal) goal = e.arguments[0];
    if (e.type == heap_alloc) largest = std::max(largest, e.arguments[0]);
    if (e.type == go_create && test::has_frame(e, "collector_main")) ++collectors;
  }
  EXPECT_EQ(freed, after.freed_bytes - before.freed_bytes);
  EXPECT_EQ(goal, after.goal_bytes);
  EXPECT_GE(largest, 50'000 * sizeof(node));
  EXPECT_EQ(static_cast<std::uint64_t>(collectors), cycles) << "by its name";
  if (test::go_command().empty()) return;
  const test::ended parsed = test::run_go_tool_trace(file, "-d=parsed");
  EXPECT_EQ(parsed.status, 0) << parsed.head();
  EXPECT_TRUE(parsed.has("GC concurrent mark phase")) << parsed.head();
  EXPECT_TRUE(parsed.has("GC incremental sweep"));
  EXPECT_TRUE(parsed.has("/gc/heap/goal:bytes"));
}

// Into several generations, with assists, and goroutines that come and go.
TEST(trace_gc, goes_on_for_seconds) {
  std::string file;
  trace::counts how;
  test::with_procs(2, [&] {
    trace::start(into(file));
    constexpr std::int64_t lasts_ns = 2'500'000'000;
    const std::int64_t until_ns = os::monotonic_ns() + lasts_ns;
    while (os::monotonic_ns() < until_ns) {
      wait_group all;
      for (int i = 0; i < 4; ++i) all.go([] { (void)make_list(30'000); });
      all.wait();
    }
    how = trace::stop();
  });
  test::go_trace_summary seen;
  test::expect_valid_trace(file, &seen);
  EXPECT_EQ(how.lost_events, 0u);
  EXPECT_EQ(how.repairs, 0u);
  EXPECT_GE(seen.generations, 2u);
  EXPECT_GT(seen.of(gc_begin), 0u);
  EXPECT_EQ(seen.of(assist_begin), seen.of(assist_end));
  EXPECT_LE(seen.of(gc_active), seen.generations);
}

TEST(trace_gc, a_trace_that_begins_and_ends_in_a_cycle) {
  test::with_procs(2, [&] {
    auto kept = make_list(200'000);
    for (int i = 0; i < 10; ++i) {
      wait_group all;
      all.go([] { runtime::gc(); });
      std::string file;
      trace::start(into(file));
      (void)make_list(1000 * i);
      trace::stop();
      all.wait();
      test::expect_valid_trace(file);
    }
    runtime::keep_alive(kept);
  });
}

}  // namespace
}  // namespace gort
