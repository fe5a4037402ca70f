#include "report/pprof/made.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "record/made.hpp"
#include "report/pprof/sampled.hpp"
#include "report/pprof/text.hpp"

namespace gort::pprof {

namespace {

using record::event_table;
using record::made_things;

struct kind_of_thing {
  made_things& of;
  const char* name;  // also of those that exist
  const char* all;   // that ever existed
};

constexpr kind_of_thing the_timers{record::timers_made, "timers", "armed"};
constexpr kind_of_thing the_sockets{record::sockets_made, "sockets", "opened"};

// Those that ended first: fewer than were made.
std::pair<std::int64_t, std::int64_t> all_and_existing(const event_table::bucket& from) noexcept {
  const std::int64_t ended = from.sum(made_things::ended);
  const std::int64_t made = from.sum(made_things::made);
  return {made, std::max<std::int64_t>(0, made - ended)};
}

std::int64_t existing(const kind_of_thing& kind) {
  std::int64_t sum = 0;
  kind.of.table().for_each(
      [&](const event_table::bucket& each) { sum += all_and_existing(each).second; });
  return sum;
}

report::profile_data collect_made(const kind_of_thing& kind) {
  report::profile_data data({{kind.all, "count"}, {kind.name, "count"}});
  data.period_type = {kind.name, "count"};
  data.period = 1;
  data.time_ns = report::unix_time_ns();
  kind.of.table().for_each([&](const event_table::bucket& each) {
    const auto [all, now] = all_and_existing(each);
    data.add(each.frames(), std::array<std::int64_t, 2>{all, now}, report::labels_of(each));
  });
  return data;
}

// Only what exists.
void write_made_text(const kind_of_thing& kind, const sink& to) {
  report::profile_data data({report::value_type{kind.name, "count"}});
  kind.of.table().for_each([&](const event_table::bucket& each) {
    const std::int64_t now = all_and_existing(each).second;
    if (now != 0)
      data.add(each.frames(), std::array<std::int64_t, 1>{now}, report::labels_of(each));
  });
  to(report::counts_as_text(kind.name, data));
}

}  // namespace

std::int64_t timers_count() { return existing(the_timers); }
report::profile_data collect_timers() { return collect_made(the_timers); }
void write_timers_text(const sink& to, int) { write_made_text(the_timers, to); }

std::int64_t sockets_count() { return existing(the_sockets); }
report::profile_data collect_sockets() { return collect_made(the_sockets); }
void write_sockets_text(const sink& to, int) { write_made_text(the_sockets, to); }

}  // namespace gort::pprof
