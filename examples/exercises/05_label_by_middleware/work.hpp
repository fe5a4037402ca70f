// What the service does, and what is measured of it.
#pragma once

#include <atomic>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <gort/go.hpp>
#include <gort/http.hpp>
#include <gort/http/debug.hpp>
#include <gort/wait_group.hpp>

#include "cpu_profile_reader.hpp"
#include "measure.hpp"
#include "serving.hpp"

namespace exercise {

/// The guide's handler: adds up a hundred million numbers and answers with the sum.
inline void handle_work(gort::http::request&, gort::http::response_writer& w) {
  w.write(std::to_string(busy(100'000'000)));
}

/// Twice as much.
inline void handle_report(gort::http::request&, gort::http::response_writer& w) {
  w.write(std::to_string(busy(200'000'000)));
}

/// Takes the guide's profile while somebody asks for GET and POST /work and GET /report, and prints
/// what of the CPU time can be said to be whose.
inline void measure_slices(gort::http::handler all) {
  const served service(std::move(all));
  std::atomic<bool> over{false};
  gort::wait_group asking;
  asking.go([&] {
    while (!over.load(std::memory_order_relaxed)) {
      service.ask("/work");
      service.ask("/work", "POST");
      service.ask("/report");
    }
  });
  const std::string packed = service.ask("/debug/pprof/profile?seconds=1");
  over.store(true, std::memory_order_relaxed);
  asking.wait();
  double all_ms = 0, labeled_ms = 0, report_ms = 0;
  std::set<std::pair<std::string, std::string>> slices;
  for (const auto& [labels, cpu_ns] : cpu_by_labels(packed)) {
    const double ms = static_cast<double>(cpu_ns) / 1e6;
    all_ms += ms;
    if (!labels.contains("endpoint") || !labels.contains("method")) continue;
    labeled_ms += ms;
    slices.emplace(labels.at("endpoint"), labels.at("method"));
    if (labels.at("endpoint") == "/report") report_ms += ms;
  }
  report()
      .add("cpu_ms", all_ms)
      .add("sliced_percent", all_ms > 0 ? 100 * labeled_ms / all_ms : 0)
      .add("slices", static_cast<double>(slices.size()))
      .add("report_percent", labeled_ms > 0 ? 100 * report_ms / labeled_ms : 0)
      .print();
}

/// `measure`: the above. Else serves on the address, by default 127.0.0.1:8080.
inline int run_or_measure(int count, char** arguments, const gort::http::handler& work,
                          const gort::http::handler& report) {
  gort::http::mux mux;
  mux.handle("/work", work);
  mux.handle("/report", report);
  gort::http::debug::handlers(mux);
  const std::string_view what = count > 1 ? arguments[1] : "127.0.0.1:8080";
  if (what != "measure") return serve(what.data(), mux, "/work");
  return gort::run([&] { measure_slices(mux); });
}

}  // namespace exercise
