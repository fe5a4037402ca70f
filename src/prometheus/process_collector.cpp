// The process_* families.
#include <optional>
#include <string>
#include <vector>

#include <gort/prometheus.hpp>

#include "os/process_facts.hpp"

namespace gort::prometheus {

std::vector<::prometheus::MetricFamily> process_collector::Collect() const {
  using ::prometheus::MetricType;
  std::vector<::prometheus::MetricFamily> out;
  const auto add = [&](const char* name, const char* help, MetricType type, const auto& value) {
    if (!value) return;
    auto& metric =
        out.emplace_back(::prometheus::MetricFamily{name, help, type, {}}).metric.emplace_back();
    (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) =
        static_cast<double>(*value);
  };
  const os::process_facts facts = os::read_process_facts();
  add("process_cpu_seconds_total", "CPU time of the process, user's and system's.",
      MetricType::Counter, facts.cpu_seconds);
  add("process_max_fds", "How many descriptors may be open.", MetricType::Gauge,
      facts.descriptors_max);
  add("process_network_receive_bytes_total",
      "Bytes received over the network by all processes of the namespace.", MetricType::Counter,
      facts.received_bytes);
  add("process_network_transmit_bytes_total",
      "Bytes sent over the network by all processes of the namespace.", MetricType::Counter,
      facts.sent_bytes);
  add("process_open_fds", "Descriptors that are open.", MetricType::Gauge, facts.open_descriptors);
  add("process_resident_memory_bytes", "Memory in use, in bytes.", MetricType::Gauge,
      facts.resident_bytes);
  add("process_start_time_seconds", "When the process was started, in seconds since 1970.",
      MetricType::Gauge, facts.start_time_seconds);
  add("process_virtual_memory_bytes", "Address space in use, in bytes.", MetricType::Gauge,
      facts.virtual_bytes);
  add("process_virtual_memory_max_bytes", "The limit on address space, in bytes.",
      MetricType::Gauge, facts.virtual_bytes_max);
  return out;
}

}  // namespace gort::prometheus
