// After: the collector of the runtime's own metrics.
#include <memory>

#include <gort/prometheus_handler.hpp>

#include "scrape.hpp"

int main(int count, char** arguments) {
  using namespace gort::prometheus;
  const auto collector =
      std::make_shared<go_collector>(with_go_collections(go_runtime_metrics_collection));
  return exercise::run_or_measure(count, arguments, metrics_handler({collector}));
}
