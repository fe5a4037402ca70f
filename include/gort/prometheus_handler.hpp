/// /metrics over gort::http.
#pragma once

#include <memory>
#include <vector>

#include <gort/http/message.hpp>
#include <gort/prometheus.hpp>

namespace gort::prometheus {

/// Go: promhttp.HandlerOpts.
struct handler_options {
  /// Answers in OpenMetrics 1.0 who asks for it; else text 0.0.4.
  bool open_metrics = true;
  /// Compresses for who accepts gzip.
  bool compression = true;
  /// More requests than that at the same time get a 503; 0: any number.
  int max_requests_in_flight = 0;
  /// Adds the response field Process-Start-Time-Unix.
  bool process_start_time = false;
};

/// Serves what is collected. `?name[]=a&name[]=b` leaves only families of those names. Families of
/// the same name are joined; if their types differ, or a collector throws, the answer is a 500.
/// Throws std::invalid_argument for a null pointer. Go: promhttp.HandlerFor.
http::handler metrics_handler(std::vector<std::shared_ptr<::prometheus::Collectable>> collectors,
                              const handler_options& options = {});

/// With everything that the runtime knows: go_collector with metrics_all and the memstats, and
/// process_collector. Go: promhttp.Handler, which exports less.
http::handler metrics_handler();

}  // namespace gort::prometheus
