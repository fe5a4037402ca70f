#include "exercises.hpp"

#include <unistd.h>
#include <algorithm>
#include <cmath>
#include <cstdio>

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

std::string percent(double share) { return fixed(100 * share, 0) + "%"; }

// How many times `before` is of the variant at `index`, by medians.
double ratio(const results& all, std::size_t index, std::string_view key) {
  const double after = all[index].runs.median(key);
  return after > 0 ? all[0].runs.median(key) / after : 0;
}

// The variant with the best ratio.
std::size_t best_after(const results& all, std::string_view key) {
  std::size_t best = 1;
  for (std::size_t i = 2; i < all.size(); ++i) {
    if (ratio(all, i, key) > ratio(all, best, key)) best = i;
  }
  return best;
}

std::string less_time(double times) {
  if (times <= 0) return "no measurement";
  const double saved = 1 - 1 / times;
  return saved >= 0 ? percent(saved) + " less" : percent(-saved) + " more";
}

// --- 1

verdict judge_gomaxprocs(const exercise& what, const results& all) {
  constexpr double wanted_share = 0.75;
  verdict out;
  // Against the manual sizing, as the guide's solution: the last variant is for comparison.
  const double times = ratio(all, 1, "elapsed_ms");
  out.met = times > 0 && 1 / times <= wanted_share;
  out.measured = less_time(times);
  const auto quota_used = [&](std::size_t i) {
    const series& runs = all[i].runs;
    return runs.median("cpu_ms") / runs.median("elapsed_ms") / lab_quota_cpus();
  };
  const auto throttled = [&](std::size_t i) {
    const throttling& t = all[i].held;
    return fixed(t.throttled, 0) + " of " + fixed(t.periods, 0) + " periods (" +
           fixed(t.held_back_ms, 0) + " ms of its threads)";
  };
  out.why.push_back("throttled: before " + throttled(0) + ", after " + throttled(1));
  out.why.push_back("p99 of a request: before " + fixed(all[0].runs.median("p99_ms"), 1) +
                    " ms, after " + fixed(all[1].runs.median("p99_ms"), 1) +
                    " ms: " + fixed(ratio(all, 1, "p99_ms"), 1) + "x");
  const double before_cpu = all[0].runs.median("cpu_ms"), after_cpu = all[1].runs.median("cpu_ms");
  if (!out.met && after_cpu > 0) {
    out.why.push_back("a quota bounds elapsed time from below by CPU time: before took " +
                      fixed(before_cpu, 0) + " and after " + fixed(after_cpu, 0) +
                      " ms of CPU, so " + percent(std::max(0.0, 1 - after_cpu / before_cpu)) +
                      " is what a smaller GOMAXPROCS saves of this workload here");
    for (std::size_t i = 0; i < 2; ++i) {
      if (quota_used(i) < 0.9) {
        out.why.push_back(what.variants[i].label + " got " + percent(quota_used(i)) +
                          " of its quota only: other programs had the CPUs, repeat when they rest");
      }
    }
  }
  return out;
}

// --- 2

verdict judge_yield(const exercise&, const results& all) {
  constexpr double wanted = 5;
  verdict out;
  const double times = ratio(all, 1, "elapsed_ms");
  out.met = times >= wanted;
  out.measured = fixed(times, 1) + "x";
  const double yield_ns =
      all[0].runs.median("ns_per_iteration") - all[1].runs.median("ns_per_iteration");
  out.why.push_back("a yield with nobody else to run took " + fixed(yield_ns, 1) +
                    " ns, the work of an iteration " +
                    fixed(all[1].runs.median("ns_per_iteration"), 1) + " ns");
  return out;
}

// --- 7

verdict judge_pool(const exercise& what, const results& all) {
  constexpr double wanted_share = 0.70;
  verdict out;
  const std::size_t best = best_after(all, "elapsed_ms");
  const double times = ratio(all, best, "elapsed_ms");
  out.met = times > 0 && 1 / times <= wanted_share;
  out.measured = less_time(times) + " (" + what.variants[best].label + ")";
  for (std::size_t i = 1; i < all.size(); ++i) {
    out.why.push_back(what.variants[i].label + ": elapsed " +
                      less_time(ratio(all, i, "elapsed_ms")) + ", peak memory " +
                      fixed(all[0].runs.median("peak_rss_mib"), 1) + " to " +
                      fixed(all[i].runs.median("peak_rss_mib"), 1) + " MiB");
  }
  if (!out.met) {
    const double elapsed = all[0].runs.median("elapsed_ms");
    const double ideal = all[0].runs.median("ideal_ms");
    out.why.push_back("the tasks alone take " + fixed(ideal, 1) + " of before's " +
                      fixed(elapsed, 1) + " ms: a pool that cost nothing would save " +
                      percent(std::max(0.0, 1 - ideal / elapsed)));
  }
  return out;
}

// --- 9

verdict judge_stack_limit(const exercise&, const results& all) {
  constexpr double wanted_ms = 100, wanted_mib = 64, wanted_headroom = 2;
  verdict out;
  const series& before = all[0].runs;
  const series& after = all[1].runs;
  const auto died_with_report = [](const series& runs) {
    return runs.smallest("reported") == 1 && runs.smallest("status") == 2 &&
           runs.largest("status") == 2;
  };
  const double headroom = after.smallest("limit_kib") / after.largest("high_water_kib");
  out.met = died_with_report(after) && after.median("to_report_ms") <= wanted_ms &&
            after.largest("peak_rss_mib") <= wanted_mib && headroom >= wanted_headroom &&
            after.smallest("good_documents") == after.largest("documents");
  out.measured = fixed(after.median("to_report_ms"), 0) + " ms, " +
                 fixed(after.largest("peak_rss_mib"), 0) + " MiB";
  out.why.push_back("before died after " + fixed(before.median("elapsed_ms"), 0) + " ms with " +
                    fixed(before.largest("peak_rss_mib"), 0) + " MiB of memory, after its limit " +
                    "of " + fixed(before.median("limit_kib") / 1024, 0) + " MiB was full");
  out.why.push_back("after: the good documents used " + fixed(after.largest("high_water_kib"), 0) +
                    " KiB of stack at most, so the limit of " +
                    fixed(after.median("limit_kib"), 0) + " KiB leaves them " + fixed(headroom, 1) +
                    " times that; all " + fixed(after.smallest("good_documents"), 0) +
                    " were parsed");
  out.why.push_back("after: the report's first lines, which name the cause, came after " +
                    fixed(after.median("to_report_ms"), 1) + " of the " +
                    fixed(after.median("elapsed_ms"), 0) +
                    " ms; in the rest debug information was read for the traces");
  return out;
}

// --- 14

verdict judge_leak(const exercise&, const results& all) {
  constexpr double leaked = 2;  // by first_answer_leaky()
  verdict out;
  const double found = all[0].runs.smallest("leaks");
  const double with_site = all[0].runs.smallest("with_creation_site");
  const double after = all[1].runs.largest("leaks");
  out.met = found == leaked && all[0].runs.largest("leaks") == leaked && with_site == leaked &&
            after == 0;
  out.measured = fixed(found, 0) + " found, then " + fixed(after, 0);
  out.why.push_back("the test of the leaky function failed with " + fixed(found, 0) +
                    " goroutines, " + fixed(with_site, 0) +
                    " of them with the function that started them; it leaves " + fixed(leaked, 0));
  out.why.push_back("the test of the repaired one found " + fixed(after, 0) + " and took " +
                    fixed(all[1].runs.median("elapsed_ms"), 1) + " ms");
  return out;
}

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
       true},
      {2,
       "Remove gosched from a hot loop",
       "at least 5x faster",
       {{"before", "02_yield_in_hot_loop_before"}, {"after", "02_yield_in_hot_loop_after"}},
       elapsed,
       {elapsed, {"ns_per_iteration", "ns/iteration"}},
       judge_yield},
      {7,
       "Bounded pool instead of 200 000 goroutines",
       "elapsed at least 30% less",
       {{"before", "07_bounded_pool_before"},
        {"pool", "07_bounded_pool_after", {"pool"}},
        {"errgroup", "07_bounded_pool_after", {"errgroup"}}},
       elapsed,
       {elapsed, memory, {"gomaxprocs", "GOMAXPROCS"}, {"task_ns", "task ns"}},
       judge_pool},
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
      {14,
       "Leak check in tests",
       "leaky test fails, repaired one passes",
       {{"before", "14_leak_check_before", {}, 1}, {"after", "14_leak_check_after"}},
       {"leaks", "leaks"},
       {{"leaks", "leaks"}, {"with_creation_site", "with site"}, elapsed},
       judge_leak,
       false,
       1},
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
