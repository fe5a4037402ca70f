// CPU time as it is accounted for (sched/gmp/cpu_accounts.hpp): by who started the goroutines, and
// by their labels.
#include "report/pprof/cpu_time.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "report/pprof/sampled.hpp"
#include "sched/gmp/cpu_accounts.hpp"

namespace gort::pprof {

namespace {

using record::event_table;
namespace accounting = sched::cpu_accounts;

}  // namespace

std::int64_t cpu_time_count() { return report::count_of(accounting::accounts()); }

report::profile_data collect_cpu_time() {
  report::profile_data data({{"runs", "count"}, {"cpu", "nanoseconds"}});
  data.period_type = {"cpu", "nanoseconds"};
  data.period = 1;
  data.time_ns = report::unix_time_ns();
  accounting::settle();
  accounting::accounts().for_each([&](const event_table::bucket& each) {
    const std::array<std::int64_t, 2> values{each.sum(accounting::stretches),
                                             each.sum(accounting::used_ns)};
    data.add(each.frames(), values, report::labels_of(each));
  });
  return data;
}

std::vector<labeled_cpu_time> cpu_time_by_labels() {
  std::vector<labeled_cpu_time> out;
  std::vector<const event_table::bucket*> first;  // that had these labels
  accounting::settle();
  accounting::accounts().for_each([&](const event_table::bucket& each) {
    const auto same = std::ranges::find_if(
        first, [&](const event_table::bucket* other) { return each.has_same_labels(*other); });
    const auto which = static_cast<std::size_t>(same - first.begin());
    if (same == first.end()) {
      auto* set = static_cast<gort::detail::label_set*>(each.labels());
      // The table keeps it.
      out.push_back({label_set(gort::detail::retain_labels(set)), {}});
      first.push_back(&each);
    }
    out[which].time += std::chrono::nanoseconds(each.sum(accounting::used_ns));
  });
  return out;
}

}  // namespace gort::pprof
