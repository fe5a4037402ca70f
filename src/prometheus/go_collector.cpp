// The go_* families: which of the runtime's metrics, by what names, and the old go_memstats_*,
// which are sums of them.
#include <array>
#include <chrono>
#include <cstddef>
#include <regex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gort/debug.hpp>
#include <gort/metrics.hpp>
#include <gort/prometheus.hpp>
#include <gort/runtime.hpp>

#include "prometheus/names.hpp"

namespace gort::prometheus {

namespace {

using ::prometheus::ClientMetric;
using ::prometheus::MetricFamily;
using ::prometheus::MetricType;

MetricFamily scalar(std::string name, std::string help, MetricType type, double value) {
  MetricFamily out{std::move(name), std::move(help), type, {}};
  ClientMetric& metric = out.metric.emplace_back();
  (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  return out;
}

// --- runtime metrics

struct exported {
  metrics::description what;
  std::string name;
  reduced_buckets buckets;  // of a histogram

  MetricFamily family(const metrics::value& v) const {
    const std::string help =
        std::string(what.text) + " Sourced from " + std::string(what.name) + ".";
    if (what.kind == metrics::value_kind::float64_histogram)
      return histogram(help, v.float64_histogram());
    const double value =
        what.kind == metrics::value_kind::uint64 ? static_cast<double>(v.uint64()) : v.float64();
    return scalar(name, help, what.cumulative ? MetricType::Counter : MetricType::Gauge, value);
  }

 private:
  MetricFamily histogram(const std::string& help, const metrics::float64_histogram& h) const {
    MetricFamily out{name, help, MetricType::Histogram, {}};
    ClientMetric::Histogram& to = out.metric.emplace_back().histogram;
    std::size_t i = 0;
    for (const reduced_buckets::bucket& each : buckets.all) {
      std::uint64_t here = 0;
      for (; i < each.end; ++i) here += h.counts[i];
      to.sample_count += here;
      to.sample_sum += each.lower_bound * static_cast<double>(here);  // too little, as Go's client
      to.bucket.push_back({to.sample_count, each.upper_bound});
    }
    return out;
  }
};

bool is_wanted(std::string_view name, const std::vector<std::pair<std::regex, bool>>& allowed_by) {
  for (auto rule = allowed_by.rbegin(); rule != allowed_by.rend(); ++rule) {
    if (std::regex_search(name.begin(), name.end(), rule->first)) return rule->second;
  }
  return false;
}

// --- memory statistics

// Of the first samples in a reading.
enum source : std::uint8_t {
  heap_objects,
  heap_free,
  heap_released,
  heap_unused,
  heap_stacks,
  os_stacks,
  mspan_inuse,
  mspan_free,
  mcache_inuse,
  mcache_free,
  profiling,
  metadata_other,
  other,
  total,
  allocs_bytes,
  allocs_objects,
  frees_objects,
  tiny_allocs,
  objects,
  goal,
  threads,
  sources,
};

constexpr std::array<std::string_view, sources> source_names{
    "/memory/classes/heap/objects:bytes",
    "/memory/classes/heap/free:bytes",
    "/memory/classes/heap/released:bytes",
    "/memory/classes/heap/unused:bytes",
    "/memory/classes/heap/stacks:bytes",
    "/memory/classes/os-stacks:bytes",
    "/memory/classes/metadata/mspan/inuse:bytes",
    "/memory/classes/metadata/mspan/free:bytes",
    "/memory/classes/metadata/mcache/inuse:bytes",
    "/memory/classes/metadata/mcache/free:bytes",
    "/memory/classes/profiling/buckets:bytes",
    "/memory/classes/metadata/other:bytes",
    "/memory/classes/other:bytes",
    "/memory/classes/total:bytes",
    "/gc/heap/allocs:bytes",
    "/gc/heap/allocs:objects",
    "/gc/heap/frees:objects",
    "/gc/heap/tiny/allocs:objects",
    "/gc/heap/objects:objects",
    "/gc/heap/goal:bytes",
    "/sched/threads/total:threads",
};

struct statistic {
  std::string_view suffix;
  std::string_view help;
  std::array<source, 4> sum_of;  // `sources` fills it up
  bool cumulative = false;
};

constexpr source none = sources;
constexpr statistic statistics[] = {
    {"alloc_bytes", "Bytes of memory handed out.", {heap_objects, none, none, none}},
    {"alloc_bytes_total", "Bytes handed out so far.", {allocs_bytes, none, none, none}, true},
    {"sys_bytes", "Bytes of all classes of memory.", {total, none, none, none}},
    {"mallocs_total", "Allocations.", {allocs_objects, tiny_allocs, none, none}, true},
    {"frees_total", "Objects freed.", {frees_objects, tiny_allocs, none, none}, true},
    {"heap_alloc_bytes", "The same as go_memstats_alloc_bytes.", {heap_objects, none, none, none}},
    {"heap_sys_bytes",
     "Bytes of the heap, used or not.",
     {heap_objects, heap_unused, heap_released, heap_free}},
    {"heap_idle_bytes",
     "Bytes of the heap that hold nothing.",
     {heap_released, heap_free, none, none}},
    {"heap_inuse_bytes",
     "Bytes of blocks that hold something.",
     {heap_objects, heap_unused, none, none}},
    {"heap_released_bytes", "Bytes given back to the system.", {heap_released, none, none, none}},
    {"heap_objects", "Objects on the heap.", {objects, none, none, none}},
    {"stack_inuse_bytes", "Bytes of goroutines' stacks.", {heap_stacks, none, none, none}},
    {"stack_sys_bytes", "Bytes of stacks, threads' too.", {heap_stacks, os_stacks, none, none}},
    {"mspan_inuse_bytes", "Bytes of spans' descriptions in use.", {mspan_inuse, none, none, none}},
    {"mspan_sys_bytes", "Bytes of spans' descriptions.", {mspan_inuse, mspan_free, none, none}},
    {"mcache_inuse_bytes",
     "Bytes of processors and their caches.",
     {mcache_inuse, none, none, none}},
    {"mcache_sys_bytes",
     "Bytes of processors, unused ones too.",
     {mcache_inuse, mcache_free, none, none}},
    {"buck_hash_sys_bytes", "Bytes of profiles' tables.", {profiling, none, none, none}},
    {"gc_sys_bytes", "Bytes that the collector needs.", {metadata_other, none, none, none}},
    {"other_sys_bytes", "Bytes of what else the runtime holds.", {other, none, none, none}},
    {"next_gc_bytes", "The heap's size at which a collection is to end.", {goal, none, none, none}},
};

MetricFamily family(const statistic& which, std::span<const metrics::sample> from) {
  double sum = 0;
  for (const source each : which.sum_of) {
    if (each != none) sum += static_cast<double>(from[each].value.uint64());
  }
  return scalar("go_memstats_" + std::string(which.suffix), std::string(which.help),
                which.cumulative ? MetricType::Counter : MetricType::Gauge, sum);
}

// --- the base

// No collection stops anything, so each has paused for 0 seconds.
MetricFamily gc_durations(const debug::gc_stats& collections) {
  MetricFamily out{"go_gc_duration_seconds",
                   "For how long each collection has stopped the world, which none does.",
                   MetricType::Summary,
                   {}};
  ClientMetric::Summary& to = out.metric.emplace_back().summary;
  for (const double q : {0.0, 0.25, 0.5, 0.75, 1.0}) to.quantile.push_back({q, 0});
  to.sample_count = static_cast<std::uint64_t>(collections.num_gc);
  return out;
}

MetricFamily info() {
  MetricFamily out =
      scalar("go_info", "The version of the runtime, which is gort.", MetricType::Gauge, 1);
  out.metric[0].label = {{"version", "gort" GORT_VERSION}};
  return out;
}

}  // namespace

collector_options with_go_collections(unsigned collections) {
  collector_options out;
  if ((collections & go_runtime_metrics_collection) != 0) out.runtime = {metrics_all};
  out.memstats = (collections & go_runtime_mem_stats_collection) != 0;
  return out;
}

struct go_collector::chosen {
  bool memstats;
  std::vector<exported> runtime;
};

go_collector::go_collector(const collector_options& options) {
  std::vector<std::pair<std::regex, bool>> rules;
  for (const char* always :
       {"^/gc/gogc:percent$", "^/gc/gomemlimit:bytes$", "^/sched/gomaxprocs:threads$"})
    rules.emplace_back(std::regex(always), true);
  for (const runtime_rule& each : options.runtime)
    rules.emplace_back(std::regex(each.matcher), !each.deny);
  auto made = std::make_unique<chosen>(chosen{options.memstats, {}});
  for (const metrics::description& each : metrics::all()) {
    if (!is_wanted(each.name, rules)) continue;
    const bool is_histogram = each.kind == metrics::value_kind::float64_histogram;
    exported e{each, name_of(each.name, each.cumulative && !is_histogram), {}};
    if (e.name.empty()) continue;
    if (is_histogram) {
      std::vector<metrics::sample> shape{{std::string(each.name)}};
      metrics::read(shape);
      e.buckets = reduce(shape[0].value.float64_histogram().buckets,
                         each.name.substr(each.name.find(':') + 1));
    }
    made->runtime.push_back(std::move(e));
  }
  chosen_ = std::move(made);
}

go_collector::~go_collector() = default;

std::vector<MetricFamily> go_collector::Collect() const {
  std::vector<metrics::sample> samples;
  samples.reserve(sources + chosen_->runtime.size());
  for (const std::string_view each : source_names) samples.push_back({std::string(each)});
  for (const exported& each : chosen_->runtime) samples.push_back({std::string(each.what.name)});
  metrics::read(samples);

  std::vector<MetricFamily> out;
  debug::gc_stats collections;
  debug::read_gc_stats(collections);
  out.push_back(gc_durations(collections));
  out.push_back(info());
  out.push_back(scalar("go_goroutines", "Goroutines that exist.", MetricType::Gauge,
                       static_cast<double>(runtime::num_goroutine())));
  out.push_back(scalar("go_threads", "Threads of the runtime.", MetricType::Gauge,
                       static_cast<double>(samples[threads].value.uint64())));
  out.push_back(scalar(
      "go_memstats_last_gc_time_seconds",
      "When the last collection ended, since 1970; 0: there has been none.", MetricType::Gauge,
      std::chrono::duration<double>(collections.last_gc.time_since_epoch()).count()));
  if (chosen_->memstats) {
    for (const statistic& each : statistics) out.push_back(family(each, samples));
  }
  for (std::size_t i = 0; i < chosen_->runtime.size(); ++i)
    out.push_back(chosen_->runtime[i].family(samples[sources + i].value));
  return out;
}

}  // namespace gort::prometheus
