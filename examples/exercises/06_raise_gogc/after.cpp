// After: GOGC is raised until the collector has less than a tenth of the CPU; each step is
// measured. What memory that may cost is bounded by a limit. `after table` goes through the guide's
// table instead.
#include <cstdint>
#include <cstring>
#include <string>

#include "scaled.hpp"

namespace {

using namespace exercise;

// What it finds is measured again: a step that was low by chance is not what counts.
void search(service& of) {
  constexpr double low_enough_percent = 9;
  constexpr int step = 50, gogc_max = 600, cycles = 3;
  gort::debug::set_memory_limit(static_cast<std::int64_t>(most_bytes() / 100 * 95));
  int gogc = 100;
  for (;; gogc += step) {
    gort::debug::set_gc_percent(gogc);
    const served out = of.serve(cycles);
    std::fprintf(stderr, "GOGC=%d: %.1f%% of CPU, at most %.0f MiB in the process\n", gogc,
                 out.gc_percent, peak_rss_mib());
    if (out.gc_percent < low_enough_percent || gogc == gogc_max) break;
  }
  tell(of.serve(cycles + 1), gogc);
}

// Lets peak_rss_mib() count from now on.
void forget_peak() { std::ofstream("/proc/self/clear_refs") << "5"; }

void table(service& of) {
  std::printf(
      "%.0f MiB of records (%.2f of the guide's), %.0f requests a second that allocate "
      "%.1f KB each\n\n"
      "| GOGC | collector's share of CPU | peak MiB | collections a second | "
      "p99.9 of a request, ms | worst, ms |\n|---|---|---|---|---|---|\n",
      live_bytes() / (1 << 20), scale(), of.rate_per_s, service::request_bytes / 1e3);
  for (const int gogc : {25, 50, 100, 200, 300, 500, -1}) {
    gort::debug::set_gc_percent(gogc);
    if (gogc == 25) gort::debug::free_os_memory();  // what came before
    forget_peak();
    const served out = gogc < 0 ? of.serve(std::chrono::seconds(2)) : of.serve(4);
    std::printf("| %s | %.1f%% | %.0f | %.1f | %.1f | %.1f |\n",
                gogc < 0 ? "off" : std::to_string(gogc).c_str(), out.gc_percent, peak_rss_mib(),
                out.cycles_per_s, out.p999_ms, out.worst_ms);
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  return gort::run([&] {
    service of(live_bytes());
    scale_rate(of);
    if (argc > 1 && std::strcmp(argv[1], "table") == 0)
      table(of);
    else
      search(of);
  });
}
