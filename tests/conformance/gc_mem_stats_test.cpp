// runtime::read_mem_stats, debug::read_gc_stats and the metrics of a program whose heap is managed:
// they say the same, and what the program knows to have done.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gort/debug.hpp>
#include <gort/gc.hpp>
#include <gort/metrics.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>

#include "gc/control.hpp"
#include "report/metrics/cpu_classes.hpp"
#include "support/gc_support.hpp"
#include "support/metrics_support.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;
using namespace std::chrono_literals;
using test::read_all;
using test::whole;
using test::with_procs;

struct block {
  char is[48];
};

runtime::mem_stats look() {
  runtime::mem_stats out;
  runtime::read_mem_stats(out);
  return out;
}

const runtime::mem_stats::of_size& of(const runtime::mem_stats& from, std::uint32_t size) {
  for (const auto& each : from.by_size)
    if (each.size == size) return each;
  ADD_FAILURE() << "no size " << size;
  return from.by_size.front();
}

TEST(gc_mem_stats, allocations_and_their_sizes) {
  with_procs(2, [] {
    (void)gc::make<int>(1);
    const runtime::mem_stats before = look();
    constexpr std::uint64_t small = 3000, bytes = 48, big = 1 << 20;
    for (std::uint64_t i = 0; i < small; ++i) (void)gc::make<block>();
    auto large = gc::make_array<char>(big);
    const runtime::mem_stats after = look();
    EXPECT_EQ(after.mallocs - before.mallocs, small + 1);
    EXPECT_EQ(after.total_alloc - before.total_alloc, small * bytes + big);
    EXPECT_EQ(of(after, bytes).mallocs - of(before, bytes).mallocs, small);
    EXPECT_EQ(after.heap_objects, after.mallocs - after.frees);
    EXPECT_GE(after.alloc, big);
    EXPECT_EQ(after.alloc, after.heap_alloc);
    EXPECT_EQ(after.heap_sys, after.heap_inuse + after.heap_idle);
    EXPECT_GE(after.heap_inuse, after.heap_alloc);
    EXPECT_GE(after.heap_idle, after.heap_released);
    EXPECT_GT(after.mspan_inuse, 0u);
    EXPECT_GT(after.gc_sys, 0u);
    EXPECT_EQ(after.sys, after.heap_sys + after.stack_sys + after.mspan_sys + after.mcache_sys +
                             after.buck_hash_sys + after.gc_sys + after.other_sys);
    EXPECT_TRUE(after.enable_gc);
    runtime::keep_alive(large);
  });
}

TEST(gc_mem_stats, tables_of_profiles_count) {
  with_procs(2, [] {
    const runtime::mem_stats before = look();
    const std::int64_t rate = runtime::set_mem_profile_rate(1);
    const auto sampled = gc::make_array<char>(1 << 20);
    runtime::set_mem_profile_rate(rate);
    EXPECT_GT(look().buck_hash_sys, before.buck_hash_sys);
    runtime::keep_alive(sampled);
  });
}

TEST(gc_mem_stats, collections) {
  with_procs(2, [] {
    const runtime::mem_stats before = look();
    runtime::gc();
    const auto began = std::chrono::system_clock::now();
    runtime::gc();
    const auto ended = std::chrono::system_clock::now();
    const runtime::mem_stats after = look();
    EXPECT_EQ(after.num_forced_gc - before.num_forced_gc, 2u);
    EXPECT_GE(after.num_gc, before.num_gc + 2);
    EXPECT_GT(after.gc_cpu_fraction, 0);
    EXPECT_LT(after.gc_cpu_fraction, 1);
    EXPECT_EQ(after.pause_total_ns, 0u);
    EXPECT_EQ(after.pause_end[(after.num_gc + 255) % 256], after.last_gc);
    const auto ns = [](auto at) {
      return static_cast<std::uint64_t>(
          std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count());
    };
    EXPECT_GE(after.last_gc, ns(began));
    EXPECT_LE(after.last_gc, ns(ended));

    debug::gc_stats stats;
    stats.pause_quantiles.resize(5, std::chrono::nanoseconds(7));
    debug::read_gc_stats(stats);
    EXPECT_EQ(stats.num_gc, after.num_gc);
    EXPECT_EQ(ns(stats.last_gc), after.last_gc);
    EXPECT_EQ(stats.pause_total.count(), 0);
    EXPECT_EQ(stats.pause.size(), std::min<std::size_t>(after.num_gc, 256));
    ASSERT_EQ(stats.pause_end.size(), stats.pause.size());
    EXPECT_EQ(stats.pause_end.front(), stats.last_gc);
    EXPECT_EQ(stats.pause_quantiles, std::vector<std::chrono::nanoseconds>(5));
  });
}

// --- metrics

TEST(gc_metrics, say_what_the_memory_statistics_say) {
  with_procs(2, [] {
    for (int i = 0; i < 1000; ++i) (void)gc::make<block>();
    runtime::gc();
    const runtime::mem_stats stats = look();
    EXPECT_EQ(whole("/gc/heap/allocs:objects"), stats.mallocs);
    EXPECT_EQ(whole("/gc/heap/allocs:bytes"), stats.total_alloc);
    EXPECT_EQ(whole("/gc/heap/frees:objects"), stats.frees);
    EXPECT_EQ(whole("/gc/heap/objects:objects"), stats.heap_objects);
    EXPECT_EQ(whole("/gc/heap/goal:bytes"), stats.next_gc);
    EXPECT_EQ(whole("/gc/cycles/total:gc-cycles"), stats.num_gc);
    EXPECT_EQ(whole("/gc/cycles/forced:gc-cycles"), stats.num_forced_gc);
    EXPECT_EQ(whole("/gc/cycles/automatic:gc-cycles"), stats.num_gc - stats.num_forced_gc);
    EXPECT_EQ(whole("/memory/classes/metadata/mspan/inuse:bytes"), stats.mspan_inuse);
    EXPECT_GT(whole("/gc/heap/live:bytes"), 0u);
    EXPECT_GT(whole("/gc/scan/total:bytes"), 0u);
    EXPECT_EQ(whole("/gc/scan/total:bytes"), whole("/gc/scan/globals:bytes") +
                                                 whole("/gc/scan/heap:bytes") +
                                                 whole("/gc/scan/stack:bytes"));
    EXPECT_EQ(whole("/gc/gogc:percent"), 100u);
  });
}

TEST(gc_metrics, sizes_in_go_s_buckets) {
  with_procs(2, [] {
    const auto read = [] { return read_all({"/gc/heap/allocs-by-size:bytes"}); };
    const auto before = read();
    constexpr std::uint64_t small = 500, large = 3;
    for (std::uint64_t i = 0; i < small; ++i) (void)gc::make<block>();
    for (std::uint64_t i = 0; i < large; ++i) (void)gc::make_array<char>(100'000);
    const auto after = read();
    const std::string name = "/gc/heap/allocs-by-size:bytes";
    const auto grown =
        after.at(name).float64_histogram().since(before.at(name).float64_histogram());
    EXPECT_EQ(grown.total(), small + large);
    for (std::size_t i = 0; i < grown.counts.size(); ++i) {
      const bool holds_48 = grown.buckets[i] <= 48 && 48 < grown.buckets[i + 1];
      const bool is_last = std::isinf(grown.buckets[i + 1]);
      EXPECT_EQ(grown.counts[i], holds_48 ? small : is_last ? large : 0) << grown.buckets[i];
    }
  });
}

TEST(gc_metrics, classes_add_up) {
  with_procs(2, [] {
    auto kept = gc::make_array<char>(10 << 20);
    runtime::gc();
    std::vector<std::string> names;
    for (const auto& each : metrics::all())
      if (each.name.starts_with("/memory/classes/") || each.name.starts_with("/cpu/classes/"))
        names.emplace_back(each.name);
    const auto now = read_all(names);
    std::uint64_t sum = 0, total = 0;
    for (const auto& [name, v] : now) {
      if (!name.starts_with("/memory/")) continue;
      (name == "/memory/classes/total:bytes" ? total : sum) += v.uint64();
    }
    EXPECT_EQ(sum, total);
    EXPECT_GE(now.at("/memory/classes/heap/objects:bytes").uint64(), std::uint64_t{10} << 20);
    const auto cpu = [&](const std::string& which) {
      return now.at("/cpu/classes/" + which + ":cpu-seconds").float64();
    };
    constexpr double rounding = 1e-6;
    EXPECT_GT(cpu("gc/mark/dedicated"), 0);
    EXPECT_EQ(cpu("gc/pause"), 0);
    EXPECT_NEAR(cpu("gc/total"),
                cpu("gc/mark/dedicated") + cpu("gc/mark/assist") + cpu("gc/mark/idle"), rounding);
    EXPECT_NEAR(cpu("total"), cpu("user") + cpu("idle") + cpu("scavenge/total") + cpu("gc/total"),
                rounding);
    runtime::keep_alive(kept);
  });
}

TEST(gc_metrics, giving_back_is_counted_where_it_belongs) {
  with_procs(2, [] {
    const auto seconds = [](const char* which) {
      const std::string name = std::string("/cpu/classes/scavenge/") + which + ":cpu-seconds";
      return read_all({name}).at(name).float64();
    };
    const auto leave_garbage = [] {
      constexpr std::size_t bytes = 256 << 10, count = 256;  // a word in some stack may keep one
      test::on_a_stack_of_its_own([] {
        for (std::size_t i = 0; i < count; ++i) {
          auto used = gc::make_array<unsigned char>(bytes);
          std::fill(used, used + bytes, 1);
        }
      });
      runtime::gc();
    };
    const int percent = debug::set_gc_percent(-1);
    const double assist = seconds("assist"), background = seconds("background");
    leave_garbage();
    const std::uint64_t given = managed::given_back_bytes();
    const std::int64_t before_ns = managed::giving_back_ns();
    while (managed::given_back_bytes() < given + (16 << 20)) gort::sleep(1ms);
    const auto took = static_cast<double>(managed::giving_back_ns() - before_ns) / 1e9;
    EXPECT_GE(seconds("background") - background, took - 1e-6);
    EXPECT_GT(took, 0);
    EXPECT_EQ(seconds("assist"), assist);
    leave_garbage();
    const managed::memory_use use = managed::read_memory_use();
    debug::set_memory_limit(static_cast<std::int64_t>(use.total() - use.heap_free / 2));
    runtime::gc();
    runtime::gc();  // the first one wakes its waiters before it gives back
    EXPECT_GT(seconds("assist"), assist);
    EXPECT_NEAR(seconds("total"), seconds("assist") + seconds("background"), 1e-3);
    debug::set_memory_limit(INT64_MAX);
    debug::set_gc_percent(percent);
  });
}

TEST(gc_metrics, ends_of_objects) {
  with_procs(2, [] {
    const auto grown = [](const char* name, std::uint64_t since) { return whole(name) - since; };
    constexpr const char *finalizers = "/gc/finalizers/executed:finalizers",
                         *cleanups = "/gc/cleanups/executed:cleanups";
    constexpr std::uint64_t finalized = 50, cleaned_up = 200;
    const std::uint64_t of_finalizers = whole(finalizers), of_cleanups = whole(cleanups);
    test::on_a_stack_of_its_own([] {
      for (std::uint64_t i = 0; i < finalized; ++i)
        runtime::set_finalizer(gc::make<block>(), [](auto&&) {});
      for (std::uint64_t i = 0; i < cleaned_up; ++i) runtime::add_cleanup(gc::make<block>(), [] {});
    });
    while (grown(finalizers, of_finalizers) < finalized ||
           grown(cleanups, of_cleanups) < cleaned_up)
      test::collect_all();  // which has some cleanups of its own
    EXPECT_EQ(grown(finalizers, of_finalizers), finalized);
    EXPECT_GE(whole("/gc/finalizers/queued:finalizers"), whole(finalizers));
    EXPECT_GE(whole("/gc/cleanups/queued:cleanups"), whole(cleanups));
  });
}

// An assist is known when it is over; its time has counted as the program's until then.
TEST(gc_metrics, the_program_s_time_never_decreases) {
  with_procs(2, [] {
    record::managed_facts facts;
    const report::cpu_classes before = report::read_cpu_classes(facts);
    facts.assist_ns = before.user_ns / 2;
    const report::cpu_classes after = report::read_cpu_classes(facts);
    EXPECT_GE(after.user_ns, before.user_ns);
    EXPECT_EQ(after.assist_ns, facts.assist_ns);
    EXPECT_EQ(after.total_ns(),
              after.user_ns + after.idle_ns + after.scavenge_ns() + after.collector_ns());
  });
}

}  // namespace
