// What the managed heap says of itself, compared with what a program knows to have done.
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/debug.hpp>
#include <gort/gc.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "record/managed_heap.hpp"
#include "support/gc_support.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;
using record::managed_facts;
using test::counted;
using test::with_procs;

managed_facts look() { return record::read_managed_heap(); }

template <std::size_t bytes>
struct block {
  char is[bytes];
};

managed_facts::of_size of(const managed_facts& from, std::uint64_t slot_bytes) {
  for (std::size_t i = 0; i < from.size_count; ++i)
    if (from.sizes[i].slot_bytes == slot_bytes) return from.sizes[i];
  ADD_FAILURE() << "no size " << slot_bytes;
  return {};
}

template <std::size_t bytes>
void make_and_drop(int n) {
  for (int i = 0; i < n; ++i) (void)gc::make<block<bytes>>();
}

void expect_allocated(const managed_facts& before, const managed_facts& after, std::uint64_t small,
                      std::uint64_t large) {
  EXPECT_EQ(of(after, 48).allocated - of(before, 48).allocated, small);
  EXPECT_EQ(of(after, 64).allocated, of(before, 64).allocated);
  EXPECT_EQ(after.large_allocated - before.large_allocated, large);
  EXPECT_EQ(after.allocated_objects - before.allocated_objects, small + large);
  const std::uint64_t large_bytes = after.large_allocated_bytes - before.large_allocated_bytes;
  EXPECT_EQ(large_bytes, large * (104 << 10));  // whole pages
  EXPECT_EQ(after.allocated_bytes - before.allocated_bytes, small * 48 + large_bytes);
}

TEST(gc_statistics, allocations_are_counted_one_by_one) {
  with_procs(1, [] {
    (void)gc::make<int>(1);
    for (const int n : {1, 2, 63, 64, 65, 700, 5000}) {
      const managed_facts before = look();
      make_and_drop<48>(n);
      make_and_drop<100'000>(3);
      expect_allocated(before, look(), static_cast<std::uint64_t>(n), 3);
    }
  });
}

TEST(gc_statistics, so_are_those_of_plain_threads_and_of_several_processors) {
  with_procs(4, [] {
    constexpr int each = 1000, goroutines = 8;
    const managed_facts before = look();
    wait_group all;
    for (int i = 0; i < goroutines; ++i) all.go([] { make_and_drop<48>(each); });
    all.wait();
    std::thread plain([] { make_and_drop<48>(each); });
    plain.join();
    expect_allocated(before, look(), each * (goroutines + 1), 0);
  });
}

TEST(gc_statistics, what_is_freed_is_counted_and_what_lives_is_the_difference) {
  with_procs(2, [] {
    constexpr std::uint64_t kept_count = 1000, dropped = 20'000, large = 20;
    const managed_facts before = look();
    std::vector<gc::ptr<block<48>>> kept;
    kept.reserve(kept_count);
    test::on_a_stack_of_its_own([&] {
      for (std::uint64_t i = 0; i < kept_count; ++i) kept.push_back(gc::make<block<48>>());
      make_and_drop<48>(dropped);
      make_and_drop<100'000>(large);
    });
    // What a dead frame has left on a stack may keep some.
    constexpr std::uint64_t left = 10;
    test::collect_all();
    const managed_facts after = look();
    const std::uint64_t freed = of(after, 48).freed - of(before, 48).freed;
    EXPECT_GE(freed + left, dropped);
    EXPECT_LE(of(after, 48).allocated - of(after, 48).freed,
              of(before, 48).allocated - of(before, 48).freed + kept_count + left);
    EXPECT_GE(after.large_freed + left, before.large_freed + large);
    EXPECT_LE(after.large_freed, after.large_allocated);
    EXPECT_GE(after.heap_objects(), kept_count);
    EXPECT_GE(after.heap_bytes(), kept_count * 48);
    EXPECT_GE(after.live_bytes, kept_count * 48);
    EXPECT_GE(after.span_bytes, after.heap_bytes());
    EXPECT_GT(after.span_record_bytes, 0u);
    EXPECT_GT(after.cache_bytes, 0u);
    EXPECT_GT(after.other_bytes, 0u);
    for (std::size_t i = 0; i < after.size_count; ++i)
      EXPECT_LE(after.sizes[i].freed, after.sizes[i].allocated) << after.sizes[i].slot_bytes;
  });
}

TEST(gc_statistics, cycles_asked_for_and_others) {
  with_procs(2, [] {
    const managed_facts before = look();
    constexpr std::uint64_t asked = 3;
    for (std::uint64_t i = 0; i < asked; ++i) runtime::gc();
    const managed_facts after = look();
    EXPECT_EQ(after.forced_cycles - before.forced_cycles, asked);
    EXPECT_GE(after.cycles - before.cycles, asked);
    EXPECT_GT(after.mark_ns, before.mark_ns);
    EXPECT_GT(after.sweep_ns, before.sweep_ns);
    // Without being asked: as many times as much as it may hold.
    while (look().cycles - look().forced_cycles <= after.cycles - after.forced_cycles)
      make_and_drop<1000>(1000);
    EXPECT_EQ(look().forced_cycles, after.forced_cycles);
  });
}

TEST(gc_statistics, the_ends_of_the_last_256_cycles) {
  with_procs(2, [] {
    const auto* heap = record::the_managed_heap();
    ASSERT_NE(heap, nullptr);
    std::int64_t ends[300];
    const std::uint64_t cycles = look().cycles;
    runtime::gc();
    EXPECT_GE(heap->read_ends(std::span(ends)), std::min<std::uint64_t>(cycles + 1, 256));
    for (int i = 0; i < 257; ++i) runtime::gc();
    const std::size_t count = heap->read_ends(std::span(ends));
    ASSERT_EQ(count, 256u);
    EXPECT_EQ(ends[0], look().last_end_unix_ns);
    for (std::size_t i = 1; i < count; ++i) EXPECT_LE(ends[i], ends[i - 1]);
    EXPECT_EQ(heap->read_ends(std::span(ends).first(2)), 2u);
  });
}

TEST(gc_statistics, the_ends_of_objects) {
  with_procs(2, [] {
    counted::reset();
    constexpr std::uint64_t objects = 100;
    const managed_facts before = look();
    auto done = std::make_shared<detail::atomic<std::uint64_t>>();
    test::on_a_stack_of_its_own([&] {
      for (std::uint64_t i = 0; i < objects; ++i) {
        auto one = gc::make<block<48>>();
        runtime::set_finalizer(one, [done](auto&&) { done->fetch_add_relaxed(1); });
        auto other = gc::make<block<48>>();
        runtime::add_cleanup(other, [done] { done->fetch_add_relaxed(1); });
        (void)gc::make<counted>(1);
      }
    });
    while (done->load_relaxed() < 2 * objects || counted::ended() < static_cast<int>(objects))
      test::collect_all();
    const managed_facts after = look();
    EXPECT_EQ(after.finalizers_run - before.finalizers_run, objects);
    EXPECT_GE(after.cleanups_run - before.cleanups_run, objects);  // and those of collect_all()
    EXPECT_EQ(after.destructors_run - before.destructors_run, objects);
    EXPECT_GE(after.finalizers_queued, after.finalizers_run);
    EXPECT_GE(after.cleanups_queued, after.cleanups_run);
    EXPECT_GE(after.destructors_queued, after.destructors_run);
  });
}

struct node {
  gc::ptr<node> next;
  char rest[56] = {};
};

TEST(gc_dumps, say_who_waits_for_a_collection) {
  with_procs(2, [] {
    auto big = gc::make<node>();
    for (int i = 0; i < 100'000; ++i) {
      auto longer = gc::make<node>();
      longer->next = std::move(big);
      big = std::move(longer);
    }
    detail::atomic<bool> seen;
    wait_group all;
    all.go([&] {
      while (!seen.load_relaxed()) runtime::gc();
    });
    std::vector<char> text(1 << 20);
    while (!seen.load_relaxed()) {
      const std::size_t used = runtime::stack(text, true);
      const std::string_view dump(text.data(), used);
      EXPECT_EQ(dump.find("[finalizer wait"), dump.npos);
      if (dump.find("[wait for GC cycle]") != dump.npos) seen.store_relaxed(true);
    }
    all.wait();
    runtime::keep_alive(big);
  });
}

TEST(gc_statistics, what_a_marking_has_scanned) {
  with_procs(2, [] {
    constexpr std::size_t nodes = 20'000, roots = 1000;
    auto list = gc::make<node>();
    for (std::size_t i = 1; i < nodes; ++i) {
      auto longer = gc::make<node>();
      longer->next = std::move(list);
      list = std::move(longer);
    }
    std::vector<gc::ptr<node>> elsewhere(roots);
    runtime::gc();
    const managed_facts now = look();
    EXPECT_GE(now.scanned_heap_bytes, nodes * sizeof(node));
    EXPECT_LT(now.scanned_heap_bytes, nodes * sizeof(node) + (8 << 20));
    EXPECT_GE(now.scanned_global_bytes, roots * sizeof(void*));
    EXPECT_GT(now.scanned_stack_bytes, 0u);
    runtime::keep_alive(list);
  });
}

TEST(gc_statistics, a_small_heap_may_grow_to_a_goal_of_its_own) {
  with_procs(2, [] {
    auto some = gc::make_array<char>(1 << 20);
    runtime::gc();
    const int before = debug::set_gc_percent(10'000);
    const std::uint64_t live = look().live_bytes;
    ASSERT_LT(live, 3u << 20);
    EXPECT_EQ(look().goal_bytes, std::uint64_t{400} << 20);
    debug::set_gc_percent(before);
    runtime::keep_alive(some);
  });
}

TEST(gc_statistics, the_goal_follows_what_lives) {
  with_procs(2, [] {
    auto big = gc::make_array<char>(20 << 20);
    runtime::gc();
    const int before = debug::set_gc_percent(50);
    managed_facts now = look();
    EXPECT_EQ(now.gc_percent, 50u);
    EXPECT_GE(now.live_bytes, std::uint64_t{20} << 20);
    // GOGC's, and what was learned that small heaps need here; and nothing where GOGC's is much.
    constexpr double more_max = 16 << 20;
    const auto live = static_cast<double>(now.live_bytes);
    const double more = static_cast<double>(now.goal_bytes) - live * 1.5;
    EXPECT_GE(more, -1000);
    EXPECT_LE(more, more_max + 1000);
    debug::set_gc_percent(100);
    EXPECT_NEAR(static_cast<double>(look().goal_bytes), live * 2 + more, 1000);
    debug::set_gc_percent(1000);
    EXPECT_NEAR(static_cast<double>(look().goal_bytes), live * 11, 1000);
    debug::set_gc_percent(-1);
    now = look();
    EXPECT_EQ(now.gc_percent, std::numeric_limits<std::uint64_t>::max());
    EXPECT_EQ(now.goal_bytes, std::numeric_limits<std::uint64_t>::max());
    debug::set_gc_percent(before);
    runtime::keep_alive(big);
  });
}

}  // namespace
