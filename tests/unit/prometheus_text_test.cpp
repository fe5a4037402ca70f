// Names, buckets, formats and negotiation, apart from what the numbers are.
#include <gtest/gtest.h>

#include <cmath>
#include <ctime>
#include <limits>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include <gort/metrics.hpp>
#include <gort/prometheus.hpp>

#include "prometheus/names.hpp"
#include "prometheus/negotiation.hpp"
#include "record/size_classes.hpp"
#include "record/time_histogram.hpp"

namespace {

using namespace gort::prometheus;
using ::prometheus::ClientMetric;
using ::prometheus::MetricFamily;
using ::prometheus::MetricType;

TEST(prometheus_names, follow_the_rule) {
  EXPECT_EQ(name_of("/sched/goroutines:goroutines", false), "go_sched_goroutines_goroutines");
  EXPECT_EQ(name_of("/sched/latencies:seconds", false), "go_sched_latencies_seconds");
  EXPECT_EQ(name_of("/gc/limiter/last-enabled:gc-cycle", false),
            "go_gc_limiter_last_enabled_gc_cycle");
  EXPECT_EQ(name_of("/cpu/classes/idle:cpu-seconds", true),
            "go_cpu_classes_idle_cpu_seconds_total");
  EXPECT_EQ(name_of("/sync/mutex/wait/total:seconds", true),
            "go_sync_mutex_wait_total_seconds_total");
  EXPECT_EQ(name_of("/sched/goroutines-created:goroutines", true),
            "go_sched_goroutines_created_goroutines_total");
  EXPECT_EQ(name_of("/gc/heap/allocs-by-size:bytes", false), "go_gc_heap_allocs_by_size_bytes");
  EXPECT_EQ(name_of("/a/b-c/d:u-v*w/x", false), "go_a_b_c_d_u_v_w_per_x");
  EXPECT_EQ(name_of("/gort/sched/steals:steals", true), "gort_sched_steals_steals_total");
  EXPECT_EQ(name_of("/a b:c", false), "");
  EXPECT_EQ(name_of("a:b", false), "");
}

std::vector<double> upper_bounds(const reduced_buckets& b) {
  std::vector<double> out;
  for (const auto& each : b.all) out.push_back(each.upper_bound);
  return out;
}

// As dashboards have them in their queries.
TEST(prometheus_buckets, are_those_of_go_s_client) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  static constexpr auto times = gort::record::time_bounds_seconds();
  EXPECT_EQ(
      upper_bounds(reduce(times, "seconds")),
      (std::vector<double>{6.399999999999999e-08, 6.399999999999999e-07, 7.167999999999999e-06,
                           8.191999999999999e-05, 0.0009175039999999999, 0.010485759999999998,
                           0.11744051199999998, infinity}));
  EXPECT_EQ(upper_bounds(reduce(gort::record::size_bounds, "bytes")),
            (std::vector<double>{8.999999999999998, 24.999999999999996, 64.99999999999999,
                                 144.99999999999997, 320.99999999999994, 704.9999999999999,
                                 1536.9999999999998, 3200.9999999999995, 6528.999999999999,
                                 13568.999999999998, 27264.999999999996, infinity}));
}

// Every bucket of the runtime's is in the reduced one that its values belong to.
TEST(prometheus_buckets, lose_and_misplace_nothing) {
  static constexpr auto times = gort::record::time_bounds_seconds();
  for (const auto& [bounds, unit] :
       {std::pair<std::span<const double>, const char*>{times, "seconds"},
        {gort::record::size_bounds, "bytes"},
        {times, "others"}}) {
    std::size_t begin = 0;
    for (const auto& each : reduce(bounds, unit).all) {
      ASSERT_LT(begin, each.end);
      for (std::size_t i = begin; i < each.end; ++i) {
        EXPECT_TRUE(bounds[i + 1] > each.upper_bound ? i + 1 == each.end : true) << i;
        EXPECT_GE(std::nextafter(each.upper_bound, INFINITY), bounds[i + 1]) << i;
      }
      begin = each.end;
    }
    EXPECT_EQ(begin, bounds.size() - 1);
  }
}

MetricFamily gauge(std::string name, double value) {
  MetricFamily f{std::move(name), "", MetricType::Gauge, {}};
  f.metric.emplace_back().gauge.value = value;
  return f;
}

TEST(prometheus_text, writes_numbers_as_go_does) {
  const auto as_text = [](double value) { return to_text({gauge("x", value)}).substr(15); };
  EXPECT_EQ(as_text(0), "x 0\n");
  EXPECT_EQ(as_text(1), "x 1\n");
  EXPECT_EQ(as_text(999999), "x 999999\n");
  EXPECT_EQ(as_text(1e6), "x 1e+06\n");
  EXPECT_EQ(as_text(1114408), "x 1.114408e+06\n");
  EXPECT_EQ(as_text(2.89185785e+08), "x 2.89185785e+08\n");
  EXPECT_EQ(as_text(0.0001), "x 0.0001\n");
  EXPECT_EQ(as_text(0.00001), "x 1e-05\n");
  EXPECT_EQ(as_text(-1.5), "x -1.5\n");
  EXPECT_EQ(as_text(18446744073709551615.0), "x 1.8446744073709552e+19\n");
  EXPECT_EQ(as_text(9223372036854775807.0), "x 9.223372036854776e+18\n");
  EXPECT_EQ(as_text(INFINITY), "x +Inf\n");
  EXPECT_EQ(as_text(-INFINITY), "x -Inf\n");
  EXPECT_EQ(as_text(NAN), "x NaN\n");
}

std::vector<MetricFamily> some_of_each() {
  MetricFamily counter{"b_total", "help \\ \n \"q\"", MetricType::Counter, {}};
  ClientMetric& c = counter.metric.emplace_back();
  c.label = {{"l", "a\"b\\c\nd"}, {"m", "n"}};
  c.counter.value = 3;
  MetricFamily histogram{"a", "h", MetricType::Histogram, {}};
  histogram.metric.emplace_back().histogram = {5, 2.5, {{1, 0.5}, {4, 1}}};
  MetricFamily summary{"c", "s", MetricType::Summary, {}};
  summary.metric.emplace_back().summary = {2, 7, {{0, 1}, {0.5, 3}}};
  MetricFamily untyped{"d", "", MetricType::Untyped, {}};
  untyped.metric.emplace_back().untyped.value = 8;
  return {counter, histogram, summary, untyped, gauge("e", 9)};
}

TEST(prometheus_text, version_0_0_4) {
  EXPECT_EQ(to_text(some_of_each()), R"(# HELP a h
# TYPE a histogram
a_bucket{le="0.5"} 1
a_bucket{le="1"} 4
a_bucket{le="+Inf"} 5
a_sum 2.5
a_count 5
# HELP b_total help \\ \n "q"
# TYPE b_total counter
b_total{l="a\"b\\c\nd",m="n"} 3
# HELP c s
# TYPE c summary
c{quantile="0"} 1
c{quantile="0.5"} 3
c_sum 7
c_count 2
# TYPE d untyped
d 8
# TYPE e gauge
e 9
)");
}

TEST(prometheus_text, open_metrics) {
  EXPECT_EQ(to_open_metrics(some_of_each()), R"(# HELP a h
# TYPE a histogram
a_bucket{le="0.5"} 1
a_bucket{le="1.0"} 4
a_bucket{le="+Inf"} 5
a_sum 2.5
a_count 5
# HELP b help \\ \n \"q\"
# TYPE b counter
b_total{l="a\"b\\c\nd",m="n"} 3.0
# HELP c s
# TYPE c summary
c{quantile="0.0"} 1.0
c{quantile="0.5"} 3.0
c_sum 7.0
c_count 2
# TYPE d unknown
d 8.0
# TYPE e gauge
e 9.0
# EOF
)");
}

// Prometheus takes nothing of an answer that is no UTF-8 somewhere.
TEST(prometheus_text, what_is_no_utf8_becomes_a_character_that_says_so) {
  MetricFamily f = gauge("x", 1);
  f.help = "\xff";
  f.metric[0].label = {{"path", "/caf\xe9\\\xe2\x82"}, {"right", "caf\xc3\xa9"}};
  EXPECT_EQ(to_text({f}),
            "# HELP x \ufffd\n# TYPE x gauge\n"
            "x{path=\"/caf\ufffd\\\\\ufffd\ufffd\",right=\"caf\u00e9\"} 1\n");
  EXPECT_EQ(to_open_metrics({f}),
            "# HELP x \ufffd\n# TYPE x gauge\n"
            "x{path=\"/caf\ufffd\\\\\ufffd\ufffd\",right=\"caf\u00e9\"} 1.0\n# EOF\n");
}

TEST(prometheus_negotiation, follows_weights_and_order) {
  const std::string server =  // what Prometheus 2.42 sends
      "application/openmetrics-text;version=1.0.0,application/"
      "openmetrics-text;version=0.0.1;q=0.75,"
      "text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
  EXPECT_TRUE(prefers_open_metrics(server));
  EXPECT_FALSE(prefers_open_metrics(""));
  EXPECT_FALSE(prefers_open_metrics("*/*"));
  EXPECT_FALSE(prefers_open_metrics("text/plain"));
  EXPECT_TRUE(prefers_open_metrics("application/openmetrics-text"));
  EXPECT_TRUE(prefers_open_metrics("Application/OpenMetrics-Text; version=\"1.0.0\""));
  EXPECT_FALSE(prefers_open_metrics("application/openmetrics-text; version=2.0.0"));
  EXPECT_FALSE(prefers_open_metrics("application/openmetrics-text; q=0"));
  EXPECT_FALSE(prefers_open_metrics("application/openmetrics-text;q=0.4, text/plain;q=0.5"));
  EXPECT_TRUE(prefers_open_metrics("application/openmetrics-text, text/plain"));
  EXPECT_FALSE(prefers_open_metrics("text/plain, application/openmetrics-text"));
  EXPECT_TRUE(accepts_gzip("gzip"));
  EXPECT_TRUE(accepts_gzip("deflate, GZIP;q=0.5"));
  EXPECT_TRUE(accepts_gzip("*"));
  EXPECT_FALSE(accepts_gzip(""));
  EXPECT_FALSE(accepts_gzip("deflate"));
  EXPECT_FALSE(accepts_gzip("gzip;q=0"));
  EXPECT_FALSE(accepts_gzip("gzip;q=0, *"));
  EXPECT_FALSE(accepts_gzip("gzip;q=nonsense"));
}

std::set<std::string> names_of(const std::vector<MetricFamily>& families) {
  std::set<std::string> out;
  for (const MetricFamily& each : families) EXPECT_TRUE(out.insert(each.name).second) << each.name;
  return out;
}

TEST(prometheus_collector, exports_by_default_what_go_s_client_does) {
  const std::vector<MetricFamily> families = go_collector().Collect();
  const std::set<std::string> expected{"go_gc_duration_seconds",
                                       "go_gc_gogc_percent",
                                       "go_gc_gomemlimit_bytes",
                                       "go_goroutines",
                                       "go_info",
                                       "go_memstats_alloc_bytes",
                                       "go_memstats_alloc_bytes_total",
                                       "go_memstats_buck_hash_sys_bytes",
                                       "go_memstats_frees_total",
                                       "go_memstats_gc_sys_bytes",
                                       "go_memstats_heap_alloc_bytes",
                                       "go_memstats_heap_idle_bytes",
                                       "go_memstats_heap_inuse_bytes",
                                       "go_memstats_heap_objects",
                                       "go_memstats_heap_released_bytes",
                                       "go_memstats_heap_sys_bytes",
                                       "go_memstats_last_gc_time_seconds",
                                       "go_memstats_mallocs_total",
                                       "go_memstats_mcache_inuse_bytes",
                                       "go_memstats_mcache_sys_bytes",
                                       "go_memstats_mspan_inuse_bytes",
                                       "go_memstats_mspan_sys_bytes",
                                       "go_memstats_next_gc_bytes",
                                       "go_memstats_other_sys_bytes",
                                       "go_memstats_stack_inuse_bytes",
                                       "go_memstats_stack_sys_bytes",
                                       "go_memstats_sys_bytes",
                                       "go_sched_gomaxprocs_threads",
                                       "go_threads"};
  EXPECT_EQ(expected.size(), 29u);
  EXPECT_EQ(names_of(families), expected);
  std::map<std::string, MetricType> types;
  for (const MetricFamily& each : families) types[each.name] = each.type;
  EXPECT_EQ(types["go_gc_duration_seconds"], MetricType::Summary);
  EXPECT_EQ(types["go_memstats_alloc_bytes"], MetricType::Gauge);
  EXPECT_EQ(types["go_memstats_alloc_bytes_total"], MetricType::Counter);
  EXPECT_EQ(types["go_memstats_frees_total"], MetricType::Counter);
  EXPECT_EQ(types["go_memstats_mallocs_total"], MetricType::Counter);
}

TEST(prometheus_collector, the_last_rule_that_matches_decides) {
  const auto with = [](std::vector<runtime_rule> rules, bool memstats = true) {
    return names_of(go_collector({.runtime = std::move(rules), .memstats = memstats}).Collect());
  };
  EXPECT_TRUE(with({metrics_scheduler}).contains("go_sched_latencies_seconds"));
  EXPECT_FALSE(with({metrics_scheduler}).contains("go_memory_classes_total_bytes"));
  const auto most = with({metrics_all, {"^/sched/", true}, {"latencies"}});
  EXPECT_TRUE(most.contains("go_memory_classes_total_bytes"));
  EXPECT_FALSE(most.contains("go_sched_goroutines_goroutines"));
  EXPECT_TRUE(most.contains("go_sched_latencies_seconds"));
  EXPECT_FALSE(most.contains("go_sched_gomaxprocs_threads"));  // a rule may deny it too
  EXPECT_TRUE(with({metrics_gort}).contains("gort_sched_steals_steals_total"));
  EXPECT_EQ(with({metrics_all}).size(), 26 + gort::metrics::all().size());
  EXPECT_EQ(with({}, false).size(), 8u);
  EXPECT_THROW(go_collector({.runtime = {{"("}}}), std::regex_error);
  // The old option: all runtime metrics, none of the memory statistics but one.
  const auto old =
      names_of(go_collector(with_go_collections(go_runtime_metrics_collection)).Collect());
  EXPECT_TRUE(old.contains("go_sched_goroutines_goroutines"));
  EXPECT_TRUE(old.contains("go_memstats_last_gc_time_seconds"));
  EXPECT_FALSE(old.contains("go_memstats_sys_bytes"));
}

TEST(prometheus_collector, the_process_s_families) {
  const std::vector<MetricFamily> families = process_collector().Collect();
  const std::set<std::string> expected{"process_cpu_seconds_total",
                                       "process_max_fds",
                                       "process_network_receive_bytes_total",
                                       "process_network_transmit_bytes_total",
                                       "process_open_fds",
                                       "process_resident_memory_bytes",
                                       "process_start_time_seconds",
                                       "process_virtual_memory_bytes",
                                       "process_virtual_memory_max_bytes"};
  EXPECT_EQ(names_of(families), expected);
  std::map<std::string, double> values;
  for (const MetricFamily& each : families)
    values[each.name] = each.type == MetricType::Counter ? each.metric[0].counter.value
                                                         : each.metric[0].gauge.value;
  const auto now = static_cast<double>(std::time(nullptr));
  EXPECT_LE(values["process_start_time_seconds"], now + 1);
  EXPECT_GE(values["process_start_time_seconds"], now - 3600);
  EXPECT_GE(values["process_open_fds"], 3);
  EXPECT_LE(values["process_open_fds"], values["process_max_fds"]);
  EXPECT_GT(values["process_resident_memory_bytes"], 1 << 20);
  EXPECT_GT(values["process_virtual_memory_bytes"], values["process_resident_memory_bytes"]);
}

}  // namespace
