// What the guide asks of each exercise, and whether what was measured is that.
#include "judgements.hpp"

#include <algorithm>

namespace tool {

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

}  // namespace

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
    constexpr double undisturbed = 0.9;
    out.small_here = after_cpu / before_cpu > wanted_share && quota_used(0) >= undisturbed &&
                     quota_used(1) >= undisturbed;
    out.why.push_back("a quota bounds elapsed time from below by CPU time: before took " +
                      fixed(before_cpu, 0) + " and after " + fixed(after_cpu, 0) +
                      " ms of CPU, so " + percent(std::max(0.0, 1 - after_cpu / before_cpu)) +
                      " is what a smaller GOMAXPROCS saves of this workload here");
    for (std::size_t i = 0; i < 2; ++i) {
      if (quota_used(i) < undisturbed) {
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

// --- 3

verdict judge_metrics(const exercise&, const results& all) {
  verdict out;
  const series& before = all[0].runs;
  const series& after = all[1].runs;
  out.met = before.smallest("stops") >= before.largest("polls") && after.largest("stops") == 0;
  out.measured =
      fixed(before.median("stops"), 0) + " stops, then " + fixed(after.largest("stops"), 0);
  out.why.push_back("before: each of " + fixed(before.median("polls"), 0) +
                    " looks stopped the world, for " + fixed(before.median("median_stop_us"), 0) +
                    " us at most in half of them and " +
                    fixed(before.largest("longest_stop_us"), 0) +
                    " us in the longest (the bounds of the histogram's buckets)");
  out.why.push_back("a look took " + fixed(before.median("look_us"), 0) + " us before and " +
                    fixed(after.median("look_us"), 0) + " us after");
  out.why.push_back("p99 of how late the others' timer was: before " +
                    fixed(before.median("late_p99_us"), 0) + " us, after " +
                    fixed(after.median("late_p99_us"), 0) + " us");
  return out;
}

// --- 5

verdict judge_labels(const exercise&, const results& all) {
  constexpr double wanted_percent = 95, wanted_slices = 3;
  verdict out;
  const series& before = all[0].runs;
  const series& after = all[1].runs;
  out.met = before.largest("slices") == 0 && after.smallest("slices") == wanted_slices &&
            after.median("sliced_percent") >= wanted_percent;
  out.measured = fixed(before.median("sliced_percent"), 0) + "%, then " +
                 fixed(after.median("sliced_percent"), 0) + "%";
  out.why.push_back("after: of " + fixed(after.median("cpu_ms"), 0) +
                    " ms of CPU time in the profile " + fixed(after.median("sliced_percent"), 1) +
                    "% have an endpoint and a method, of which there are " +
                    fixed(after.smallest("slices"), 0) + "; before " +
                    fixed(before.largest("slices"), 0));
  out.why.push_back("/report has " + fixed(after.median("report_percent"), 1) + "% of that");
  return out;
}

// --- 7

verdict judge_pool(const exercise& what, const results& all) {
  constexpr double wanted_share = 0.70;
  // What a pool costs at least, of what goroutines do: a task goes through a channel, which takes
  // a quarter of a start (docs/benchmarks.md: a value through a buffered one, a start and join).
  constexpr double hand_over_share = 0.25;
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
    const double least = ideal + hand_over_share * (elapsed - ideal);
    out.small_here = elapsed > 0 && least / elapsed > wanted_share;
    out.why.push_back("the tasks alone take " + fixed(ideal, 1) + " of before's " +
                      fixed(elapsed, 1) +
                      " ms: a pool that costs a quarter of the goroutines would save " +
                      percent(std::max(0.0, 1 - least / elapsed)));
  }
  return out;
}

// --- 8

verdict judge_collector(const exercise&, const results& all) {
  constexpr double dozens = 24;
  verdict out;
  const series& before = all[0].runs;
  const series& after = all[1].runs;
  out.met = after.smallest("families") >= dozens && after.smallest("histograms") > 0 &&
            after.smallest("goroutines") == 1 && after.smallest("pauses") == 1 &&
            after.smallest("heap_objects") == 1;
  out.measured =
      fixed(before.median("families"), 0) + ", then " + fixed(after.smallest("families"), 0);
  out.why.push_back("/metrics had " + fixed(before.median("families"), 0) + " of go_* and then " +
                    fixed(after.smallest("families"), 0) + ", " +
                    fixed(after.smallest("histograms"), 0) + " of them histograms");
  out.why.push_back("the world was stopped " + fixed(before.median("stops"), 0) +
                    " times in half a second by the loop that sets the gauge, and " +
                    fixed(after.largest("stops"), 0) + " times by the collector");
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

// --- 10

verdict judge_mutex_profile(const exercise&, const results& all) {
  verdict out;
  const double before = all[0].runs.median("standing_percent");
  const double after = all[1].runs.median("standing_percent");
  const bool found = all[1].runs.smallest("found") == 1;
  out.met = found && after < before;
  out.measured = fixed(before, 1) + "%, then " + fixed(after, 1) + "%";
  out.why.push_back("of the CPU time of a request, some " +
                    fixed(all[0].runs.median("request_us"), 1) + " us, " + fixed(before, 1) +
                    "% was spent in recording with every event recorded, " + fixed(after, 1) +
                    "% with none, and " + fixed(all[1].runs.median("investigating_percent"), 1) +
                    "% with one of five, while somebody investigates");
  out.why.push_back(found ? "between enable and disable the profile named the function that holds "
                            "the lock, and nothing before"
                          : "the profile did NOT name the function that holds the lock between "
                            "enable and disable, or did so before");
  return out;
}

// --- 12

verdict judge_log_lines(const exercise&, const results& all) {
  verdict out;
  const series& before = all[0].runs;
  const series& after = all[1].runs;
  const double requests = after.smallest("requests");
  out.met = before.largest("matched") == 0 && requests > 0 && after.smallest("lines") == requests &&
            after.smallest("matched") == requests && after.largest("label_sets") == requests;
  out.measured = fixed(before.largest("matched"), 0) + ", then " +
                 fixed(after.smallest("matched"), 0) + " of " + fixed(requests, 0);
  out.why.push_back("a CPU profile of " + fixed(requests, 0) + " requests has " +
                    fixed(after.smallest("label_sets"), 0) + " sets of labels, and " +
                    fixed(after.smallest("matched"), 0) + " of " +
                    fixed(after.smallest("lines"), 0) +
                    " log lines have all of one of them among their fields");
  std::string line = all[1].said;
  while (line.ends_with('\n')) line.pop_back();
  if (!line.empty()) out.why.push_back("such a line: " + line);
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

// --- 15

verdict judge_storm(const exercise&, const results& all) {
  constexpr double before_us = 5000, after_us = 1000;
  verdict out;
  const series& before = all[0].runs;
  const series& after = all[1].runs;
  out.met = before.median("p99_us") > before_us && after.median("p99_us") < after_us;
  out.measured = fixed(before.median("p99_us") / 1000, 2) + " ms, then " +
                 fixed(after.median("p99_us") / 1000, 2) + " ms";
  out.why.push_back("half of them: before " + fixed(before.median("p50_us"), 1) + " us, after " +
                    fixed(after.median("p50_us"), 1) + " us (bounds of the histogram's buckets)");
  out.why.push_back("the trace of four batches had " + fixed(before.median("events"), 0) +
                    " events before, " + fixed(after.median("events"), 0) + " after");
  out.why.push_back(
      "to see who starts them: 15_trace_the_storm_before FILE, then go tool trace FILE, or gort "
      "trace convert");
  return out;
}

}  // namespace tool
