// What somebody who asks for /metrics gets.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gort/go.hpp>
#include <gort/http.hpp>
#include <gort/metrics.hpp>
#include <gort/time.hpp>

#include "measure.hpp"
#include "serving.hpp"

namespace exercise {

/// Families of that name and type: "go_", "histogram".
inline int families(const std::string& text, const std::string& name, const std::string& type) {
  int found = 0;
  const std::string begin = "# TYPE " + name;
  for (std::size_t at = text.find(begin); at != text.npos; at = text.find(begin, at + 1)) {
    const std::string line = text.substr(at, text.find('\n', at) - at);
    if (type.empty() || line.ends_with(" " + type)) ++found;
  }
  return found;
}

/// Stops of the world so far.
inline std::uint64_t stops() {
  std::vector<gort::metrics::sample> s{{"/sched/pauses/total/other:seconds"}};
  gort::metrics::read(s);
  return s[0].value.float64_histogram().total();
}

/// Asks for the metrics each 5 ms for half a second, and prints what there was.
inline void measure_metrics(gort::http::handler metrics) {
  gort::http::mux mux;
  mux.handle("GET /metrics", std::move(metrics));
  const served service(mux);
  constexpr int scrapes = 100;
  const std::uint64_t before = stops();
  std::string text;
  for (int i = 0; i < scrapes; ++i) {
    text = service.ask("/metrics");
    gort::sleep(std::chrono::milliseconds(5));
  }
  const std::uint64_t stopped = stops() - before;
  const auto has = [&](std::string_view name) { return text.find(name) != text.npos; };
  report()
      .add("families", families(text, "go_", ""))
      .add("histograms", families(text, "go_", "histogram"))
      // The guide's examples, by the names that Go's client really gives them.
      .add("goroutines", has("\ngo_sched_goroutines_goroutines "))
      .add("pauses", has("\ngo_gc_pauses_seconds_bucket{"))
      .add("heap_objects", has("\ngo_memory_classes_heap_objects_bytes "))
      .add("stops", static_cast<double>(stopped))
      .print();
}

/// `measure`: the above. Else serves on the address, by default 127.0.0.1:2112.
inline int run_or_measure(int count, char** arguments, const gort::http::handler& metrics) {
  const std::string_view what = count > 1 ? arguments[1] : "127.0.0.1:2112";
  if (what == "measure") return gort::run([&] { measure_metrics(metrics); });
  gort::http::mux mux;
  mux.handle("GET /metrics", metrics);
  return serve(what.data(), mux, "/metrics");
}

}  // namespace exercise
