// The judgements of the exercises about the managed heap.
#include "judgements.hpp"

#include <sstream>

namespace tool {

// --- 4

verdict judge_memory_limit(const exercise& what, const results& all) {
  constexpr double wanted = 10;  // bursts
  const auto killed = [&](std::size_t i) { return all[i].runs.smallest("killed") == 1; };
  const auto survived = [&](std::size_t i) {
    return all[i].runs.largest("killed") == 0 && all[i].runs.smallest("bursts") >= wanted;
  };
  verdict out;
  out.met = killed(0) && survived(1) && killed(2) && survived(3);
  const bool all_killed = killed(0) && killed(2), all_survived = survived(1) && survived(3);
  out.measured = std::string(all_killed ? "killed" : "NOT killed") + ", then " +
                 (all_survived ? "survived" : "NOT survived");
  for (std::size_t i = 0; i < all.size(); ++i) {
    const series& runs = all[i].runs;
    const std::string group =
        fixed(runs.largest("group_peak_mib"), 0) + " MiB in its group at most";
    const std::string label = what.variants[i].label + ": ";
    if (runs.largest("killed") == 1)
      out.why.push_back(label + "the kernel killed it in burst " +
                        fixed(runs.smallest("bursts") + 1, 0) + ", with " + group);
    else
      out.why.push_back(label + "went through " + fixed(runs.smallest("bursts"), 0) +
                        " bursts of " + fixed(runs.median("burst_ms"), 0) + " ms, with " + group +
                        " and " + fixed(runs.median("cycles"), 0) + " collections");
  }
  return out;
}

// --- 6

verdict judge_gogc(const exercise&, const results& all) {
  constexpr double wanted_percent = 10;
  verdict out;
  const series& before = all[0].runs;
  const series& after = all[1].runs;
  const double most_mib = after.median("most_mib");
  const bool in_memory = after.largest("peak_rss_mib") <= most_mib;
  const bool was_more = before.median("gc_percent") >= wanted_percent;
  out.met = was_more && after.median("gc_percent") < wanted_percent && in_memory;
  out.small_here = !was_more && in_memory;  // no rate at which it has 18% is to be had
  out.measured = fixed(before.median("gc_percent"), 1) + "%, then " +
                 fixed(after.median("gc_percent"), 1) + "%";
  out.why.push_back("scale: " + fixed(after.median("scale"), 2) + " of the guide's memory, so " +
                    fixed(after.median("live_mib"), 0) + " MiB of records and " +
                    fixed(most_mib, 0) + " MiB at most; " +
                    fixed(before.median("requests_per_s"), 0) +
                    " requests a second, for which collecting takes some 18% with GOGC=100");
  std::istringstream steps(all[1].said);
  for (std::string line; std::getline(steps, line);) out.why.push_back("the search: " + line);
  const double least = after.smallest("gogc"), most = after.largest("gogc");
  out.why.push_back("where it ended (GOGC=" + fixed(least, 0) +
                    (most > least ? " to " + fixed(most, 0) : "") +
                    "), measured again: " + fixed(after.median("gc_percent"), 1) + "% of CPU and " +
                    fixed(after.largest("peak_rss_mib"), 0) + " MiB at most in the process, of " +
                    fixed(most_mib, 0));
  return out;
}

}  // namespace tool
