#include "report/pprof/contention.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <vector>

#include "record/contention.hpp"
#include "report/pprof/sampled.hpp"
#include "report/pprof/text.hpp"
#include "sched/gmp/contention.hpp"

namespace gort::pprof {

namespace {

using record::contention;
using record::event_table;

std::int64_t stacks_in(const contention& from) noexcept { return report::count_of(from.table()); }

// Who has let a waiter go on: the innermost function that is not the library's, and where in it; so
// that one can select by either.
void add_unlocker(report::frame_names& names, std::vector<report::sample_label>& to,
                  event_table::stack frames) {
  for (const void* pc : frames) {
    for (const report::source_line& each : names.at(pc).lines) {
      if (each.of_a_library) continue;
      report::add_label(to, {"unlocked_by", each.function});
      std::string place = each.file + ':';
      report::append_number(place, each.line);
      report::add_label(to, {"unlocked_at", std::move(place)});
      return;
    }
  }
}

report::profile_data collect(const contention& from) {
  report::profile_data data({{"contentions", "count"}, {"delay", "nanoseconds"}});
  data.period_type = {"contentions", "count"};
  data.period = 1;
  data.time_ns = report::unix_time_ns();
  report::frame_names names;
  from.table().for_each([&](const event_table::bucket& each) {
    const std::array<std::int64_t, 2> values{
        each.sum(contention::events) / contention::parts_of_one, each.sum(contention::delay_ns)};
    std::vector<report::sample_label> labels = report::labels_of(each);
    // The table of unlockings is never emptied.
    if (const auto* by = reinterpret_cast<const event_table::bucket*>(each.tag()); by != nullptr)
      add_unlocker(names, labels, by->frames());
    data.add(each.frames(), values, labels);
  });
  return data;
}

// In nanoseconds, which are called cycles here: pprof's format 5.2 of Go.
void write_text(const contention& from, std::string header, const sink& to) {
  const report::profile_data data = collect(from);
  std::vector<const report::profile_data::sample*> in_order;
  for (const auto& each : data.samples()) in_order.push_back(&each);
  std::ranges::stable_sort(in_order, std::greater<>{},
                           [](const auto* each) { return each->values[1]; });
  std::string text = std::move(header);
  report::frame_names names;
  for (const auto* each : in_order) {
    report::append_number(text, each->values[1]);
    text += ' ';
    report::append_number(text, each->values[0]);
    text += " @";
    report::append_addresses(text, each->frames);
    text += '\n';
    report::append_labels(text, each->labels);
    report::append_frames(text, names, each->frames, true);
    text += '\n';
  }
  to(text);
}

}  // namespace

std::int64_t block_count() { return stacks_in(record::block_events); }
report::profile_data collect_block() { return collect(record::block_events); }
int set_block_rate(int rate_ns) {
  constexpr std::int64_t most = std::numeric_limits<int>::max();
  return static_cast<int>(std::min(sched::set_block_rate(rate_ns), most));
}
void write_block_text(const sink& to, int) {
  write_text(record::block_events, "--- contention:\ncycles/second=1000000000\n", to);
}

std::int64_t mutex_count() { return stacks_in(record::mutex_events); }
report::profile_data collect_mutex() { return collect(record::mutex_events); }
void write_mutex_text(const sink& to, int) {
  std::string header = "--- mutex:\ncycles/second=1000000000\nsampling period=";
  report::append_number(header, record::mutex_events.rate());
  write_text(record::mutex_events, header + '\n', to);
}

std::int64_t lock_wait_count() { return stacks_in(record::lock_wait_events); }
report::profile_data collect_lock_waits() { return collect(record::lock_wait_events); }
void write_lock_wait_text(const sink& to, int) {
  std::string header = "--- contention:\ncycles/second=1000000000\nsampling period=";
  report::append_number(header, record::lock_wait_events.rate());
  write_text(record::lock_wait_events, header + '\n', to);
}

}  // namespace gort::pprof
