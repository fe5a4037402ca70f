#include "exercises.hpp"

#include <unistd.h>
#include <algorithm>
#include <cstdio>

#include "judgements.hpp"

namespace tool {

std::string fixed(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", decimals, value);
  return text;
}

double lab_quota_cpus() {
  const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  return static_cast<double>(std::max(1L, cpus / 8));
}

namespace {

std::vector<exercise> make_exercises() {
  const column elapsed{"elapsed_ms", "elapsed ms"};
  const column memory{"peak_rss_mib", "peak MiB"};
  return {
      {1,
       "Right-size GOMAXPROCS for a CPU-bound container",
       "elapsed about 25% less",
       {{"before", "01_right_size_gomaxprocs_before"},
        {"after", "01_right_size_gomaxprocs_after"},
        {"gort's default", "01_right_size_gomaxprocs_after", {"default"}}},
       elapsed,
       {{"gomaxprocs", "GOMAXPROCS"},
        elapsed,
        {"cpu_ms", "CPU ms"},
        {"p50_ms", "p50 ms"},
        {"p99_ms", "p99 ms"}},
       judge_gomaxprocs,
       confinement::cpu,
       1000,
       {},
       "01_right_size_gomaxprocs",
       {{"before"}, {"after"}}},
      {2,
       "Remove gosched from a hot loop",
       "at least 5x faster",
       {{"before", "02_yield_in_hot_loop_before"}, {"after", "02_yield_in_hot_loop_after"}},
       elapsed,
       {elapsed, {"ns_per_iteration", "ns/iteration"}},
       judge_yield},
      {3,
       "Metrics instead of memory statistics",
       "no stop of the world",
       {{"before", "03_metrics_not_memory_statistics_before"},
        {"after", "03_metrics_not_memory_statistics_after"}},
       {"stops", "stops of the world"},
       {{"stops", "stops"},
        {"median_stop_us", "median us"},
        {"longest_stop_us", "longest us"},
        {"look_us", "look us"},
        {"late_p99_us", "late p99 us"}},
       judge_metrics},
      {4,
       "A memory limit against the OOM killer",
       "killed, then survives ten bursts",
       {{"before", "04_memory_limit_before"},
        {"after", "04_memory_limit_after"},
        {"before touching", "04_memory_limit_before", {"touch"}},
        {"after touching", "04_memory_limit_after", {"touch"}}},
       {"bursts", "bursts survived"},
       {{"bursts", "bursts"},
        {"killed", "killed"},
        {"burst_ms", "ms a burst"},
        {"peak_rss_mib", "peak MiB"},
        {"cycles", "collections"},
        {"cpu_ms", "CPU ms"}},
       judge_memory_limit,
       confinement::memory,
       1,
       {},
       "04_memory_limit",
       {{"before"}, {"after"}, {"before", "touch"}, {"after", "touch"}}},
      {5,
       "Labels by middleware",
       "a CPU profile by endpoint and method",
       {{"before", "05_label_by_middleware_before", {"measure"}},
        {"after", "05_label_by_middleware_after", {"measure"}}},
       {"sliced_percent", "% of CPU time sliced"},
       {{"cpu_ms", "CPU ms"},
        {"sliced_percent", "sliced %"},
        {"slices", "slices"},
        {"report_percent", "/report %"}},
       judge_labels,
       confinement::none,
       1000,
       "gort::http and gort::pprof"},
      {6,
       "GOGC for a service that has the memory",
       "collecting below 10% of CPU in 2 GB",
       {{"before", "06_raise_gogc_before"}, {"after", "06_raise_gogc_after"}},
       {"gc_percent", "% of CPU in collecting"},
       {{"gogc", "GOGC"},
        {"gc_percent", "% of CPU"},
        {"idle_percent", "idle %"},
        {"peak_rss_mib", "peak MiB"},
        {"requests_per_s", "requests/s"},
        {"p999_ms", "p99.9 ms"}},
       judge_gogc,
       confinement::none,
       1000,
       {},
       "06_raise_gogc",
       {{"before"}, {"after"}}},
      {7,
       "Bounded pool instead of 200 000 goroutines",
       "elapsed at least 30% less",
       {{"before", "07_bounded_pool_before"},
        {"pool", "07_bounded_pool_after", {"pool"}},
        {"errgroup", "07_bounded_pool_after", {"errgroup"}}},
       elapsed,
       {elapsed, memory, {"gomaxprocs", "GOMAXPROCS"}, {"task_ns", "task ns"}},
       judge_pool,
       confinement::none,
       1000,
       {},
       "07_bounded_pool",
       {{"before"}, {"pool"}}},
      {8,
       "The official collector of runtime metrics",
       "dozens of go_*, histograms too",
       {{"before", "08_official_metrics_before", {"measure"}},
        {"after", "08_official_metrics_after", {"measure"}}},
       {"families", "families of go_*"},
       {{"families", "families"}, {"histograms", "histograms"}, {"stops", "stops"}},
       judge_collector,
       confinement::none,
       1,
       "prometheus-cpp"},
      {9,
       "Limit the stack of a recursive parser",
       "report in 100 ms, below 64 MiB",
       {{"before", "09_cap_the_stack_before"}, {"after", "09_cap_the_stack_after"}},
       {"to_report_ms", "ms to the report"},
       {{"to_report_ms", "to report ms"},
        {"elapsed_ms", "to end ms"},
        memory,
        {"limit_kib", "limit KiB"},
        {"high_water_kib", "used KiB"}},
       judge_stack_limit},
      {10,
       "Mutex profile only during an investigation",
       "less overhead, and on demand",
       {{"before", "10_mutex_profile_on_demand_before"},
        {"after", "10_mutex_profile_on_demand_after"}},
       {"standing_percent", "% in recording"},
       {{"request_us", "request us"},
        {"standing_percent", "standing %"},
        {"investigating_percent", "looking %"}},
       judge_mutex_profile,
       confinement::none,
       1000,
       "gort::http and gort::pprof"},
      {12,
       "Log lines with the request's labels",
       "log lines match the profile's labels",
       {{"before", "12_labels_in_log_lines_before", {"measure"}},
        {"after", "12_labels_in_log_lines_after", {"measure"}}},
       {"matched", "lines that match"},
       {{"requests", "requests"},
        {"lines", "lines"},
        {"label_sets", "label sets"},
        {"matched", "matched"}},
       judge_log_lines,
       confinement::none,
       1,
       "gort::pprof and spdlog"},
      {14,
       "Leak check in tests",
       "leaky test fails, repaired one passes",
       {{"before", "14_leak_check_before", {}, 1}, {"after", "14_leak_check_after"}},
       {"leaks", "leaks"},
       {{"leaks", "leaks"}, {"with_creation_site", "with site"}, elapsed},
       judge_leak,
       confinement::none,
       1},
      {15,
       "A goroutine storm, found in the trace",
       "p99 of latency above 5, then below 1 ms",
       {{"before", "15_trace_the_storm_before"}, {"after", "15_trace_the_storm_after"}},
       {"p99_us", "p99 us"},
       {{"p99_us", "p99 us"},
        {"p50_us", "p50 us"},
        {"elapsed_ms", "elapsed ms"},
        {"events", "events"},
        {"lost_events", "lost"}},
       judge_storm},
  };
}

}  // namespace

const std::vector<exercise>& all_exercises() {
  static const std::vector<exercise> all = make_exercises();
  return all;
}

const exercise* find_exercise(int number) {
  for (const exercise& each : all_exercises()) {
    if (each.number == number) return &each;
  }
  return nullptr;
}

}  // namespace tool
