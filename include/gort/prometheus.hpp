/// The runtime's metrics for Prometheus, by the names that Go's client gives them, so that
/// dashboards and alerts made for Go show data: collectors for prometheus-cpp, and an HTTP handler
/// for /metrics. Library gort::prometheus; see docs/metrics.md.
///
///     auto registry = std::make_shared<prometheus::Registry>();  // the program's own metrics
///     mux.handle("/metrics", gort::prometheus::metrics_handler({registry, go, process}));
///
/// In a namespace gort { } write ::prometheus for that library's own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

namespace gort::prometheus {

/// Says of the runtime's metrics whose name the regular expression is found in (ECMAScript's)
/// whether they are exported. Go: collectors.GoRuntimeMetricsRule.
struct runtime_rule {
  std::string matcher;
  bool deny = false;
};

/// Go: collectors.MetricsAll and so on; the last are those that Go does not have.
inline const runtime_rule metrics_all{"/.*"};
inline const runtime_rule metrics_gc{"^/gc/.*"};
inline const runtime_rule metrics_memory{"^/memory/.*"};
inline const runtime_rule metrics_scheduler{"^/sched/.*"};
inline const runtime_rule metrics_debug{"^/godebug/.*"};
inline const runtime_rule metrics_gort{"^/gort/.*"};

struct collector_options {
  /// Which runtime metrics, besides /gc/gogc, /gc/gomemlimit and /sched/gomaxprocs: the last rule
  /// that matches decides; one that no rule matches is left out. Go: WithGoCollectorRuntimeMetrics.
  std::vector<runtime_rule> runtime = {};
  /// go_memstats_*. Go: WithGoCollectorMemStatsMetricsDisabled turns them off.
  bool memstats = true;
};

/// Go: collectors.GoRuntimeMemStatsCollection and GoRuntimeMetricsCollection; may be or-ed.
constexpr unsigned go_runtime_mem_stats_collection = 1;
constexpr unsigned go_runtime_metrics_collection = 2;
/// Those collections and nothing else; go_memstats_last_gc_time_seconds stays. Go:
/// collectors.WithGoCollections.
collector_options with_go_collections(unsigned collections);

/// The go_* families. Its help texts name the runtime's metric. Any thread. Go:
/// collectors.NewGoCollector.
class go_collector final : public ::prometheus::Collectable {
 public:
  /// Throws std::regex_error for a rule that is no regular expression.
  explicit go_collector(const collector_options& options = {});
  ~go_collector() override;
  /// Takes some 100 us; stops nothing. Throws std::bad_alloc. Any thread.
  std::vector<::prometheus::MetricFamily> Collect() const override;

 private:
  struct chosen;
  std::unique_ptr<const chosen> chosen_;
};

/// The process_* families, from /proc; what cannot be read is left out. Go:
/// collectors.NewProcessCollector.
class process_collector final : public ::prometheus::Collectable {
 public:
  std::vector<::prometheus::MetricFamily> Collect() const override;
};

/// Families in Prometheus's text format, version 0.0.4, sorted by name, numbers as Go's client
/// writes them.
std::string to_text(std::vector<::prometheus::MetricFamily> families);
/// The same in OpenMetrics 1.0.0.
std::string to_open_metrics(std::vector<::prometheus::MetricFamily> families);

}  // namespace gort::prometheus
