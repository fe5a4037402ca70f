// Before: a gauge of one's own, which a loop sets from the memory statistics.
#include <chrono>
#include <memory>

#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include <gort/go.hpp>
#include <gort/prometheus_handler.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>

#include "scrape.hpp"

int main(int count, char** arguments) {
  const auto registry = std::make_shared<prometheus::Registry>();
  prometheus::Gauge& heap = prometheus::BuildGauge()
                                .Name("go_heap_alloc_bytes")
                                .Help("Bytes on the heap.")
                                .Register(*registry)
                                .Add({});
  gort::go([&heap] {
    for (;;) {
      gort::runtime::mem_stats m;
      gort::runtime::read_mem_stats(m);
      heap.Set(static_cast<double>(m.heap_alloc));
      gort::sleep(std::chrono::milliseconds(10));
    }
  });
  return exercise::run_or_measure(count, arguments, gort::prometheus::metrics_handler({registry}));
}
