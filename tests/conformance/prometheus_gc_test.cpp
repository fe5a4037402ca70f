// The families that Go's dashboards ask for, of a program whose heap is managed.
#include <cstdint>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include <gort/gc.hpp>
#include <gort/prometheus.hpp>
#include <gort/runtime.hpp>

#include "support/run.hpp"

namespace {

using namespace gort;

std::map<std::string, ::prometheus::ClientMetric> collect() {
  std::map<std::string, ::prometheus::ClientMetric> out;
  for (const auto& each :
       gort::prometheus::go_collector({.runtime = {gort::prometheus::metrics_all}}).Collect()) {
    if (!each.metric.empty()) out[each.name] = each.metric.front();
  }
  return out;
}

TEST(prometheus_gc, families_show_the_managed_heap) {
  test::with_procs(2, [] {
    auto before = collect();
    constexpr int objects = 500;
    for (int i = 0; i < objects; ++i) (void)gc::make_array<char>(48);
    auto now = collect();
    EXPECT_EQ(now["go_memstats_mallocs_total"].counter.value -
                  before["go_memstats_mallocs_total"].counter.value,
              objects);
    EXPECT_EQ(now["go_memstats_alloc_bytes_total"].counter.value -
                  before["go_memstats_alloc_bytes_total"].counter.value,
              objects * 48);
    runtime::gc();
    now = collect();
    runtime::mem_stats stats;
    runtime::read_mem_stats(stats);
    EXPECT_EQ(now["go_gc_duration_seconds"].summary.sample_count, stats.num_gc);
    EXPECT_EQ(now["go_gc_duration_seconds"].summary.sample_sum, 0);
    EXPECT_EQ(now["go_gc_duration_seconds"].summary.quantile.back().value, 0);
    EXPECT_NEAR(now["go_memstats_last_gc_time_seconds"].gauge.value,
                static_cast<double>(stats.last_gc) / 1e9, 1e-3);
    EXPECT_EQ(now["go_memstats_heap_objects"].gauge.value, static_cast<double>(stats.heap_objects));
    EXPECT_EQ(now["go_memstats_mallocs_total"].counter.value - static_cast<double>(stats.frees),
              static_cast<double>(stats.heap_objects));
    EXPECT_EQ(now["go_memstats_next_gc_bytes"].gauge.value, static_cast<double>(stats.next_gc));
    EXPECT_GT(now["go_memstats_gc_sys_bytes"].gauge.value, 0);
    EXPECT_GT(now["go_memstats_mspan_inuse_bytes"].gauge.value, 0);
    EXPECT_EQ(now["go_gc_cycles_total_gc_cycles_total"].counter.value, stats.num_gc);
    EXPECT_GT(now["go_cpu_classes_gc_total_cpu_seconds_total"].counter.value, 0);
    EXPECT_EQ(now["go_gc_heap_allocs_by_size_bytes"].histogram.sample_count, stats.mallocs);
  });
}

}  // namespace
