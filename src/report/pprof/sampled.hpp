// What the profiles of sampled events have in common.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "record/event_table.hpp"
#include "report/labels.hpp"
#include "report/pprof/profile_data.hpp"
#include "sched/gmp/labels.hpp"

namespace gort::report {

/// The labels of whom an event belonged to, sorted by key. Those that the table had no room for
/// are one that says so.
inline std::vector<sample_label> labels_of(const record::event_table::bucket& from) {
  std::vector<sample_label> out;
  if (from.has_lost_labels()) out.push_back({"labels", "too many to tell"});
  const auto* set = static_cast<const detail::label_set*>(from.labels());
  if (set == nullptr) return out;
  for (const auto& [key, value] : texts_of(*set).all) out.push_back({key, value});
  return out;
}

/// Adds one of the profile's own, in place of the program's of that name, if there is one: a key
/// with two values is one that readers refuse, or take for either.
inline void add_label(std::vector<sample_label>& to, sample_label more) {
  const auto at = std::ranges::lower_bound(to, more.key, {}, &sample_label::key);
  if (at != to.end() && at->key == more.key)
    *at = std::move(more);
  else
    to.insert(at, std::move(more));
}

inline std::int64_t count_of(const record::event_table& table) noexcept {
  std::int64_t count = 0;
  table.for_each([&](const record::event_table::bucket&) { ++count; });
  return count;
}

/// Empties a table that nobody writes, and drops its references to labels.
inline void empty(record::event_table& table) noexcept {
  table.for_each([](const record::event_table::bucket& each) {
    sched::drop_reference(static_cast<detail::label_set*>(each.labels()));
  });
  table.clear();
}

}  // namespace gort::report
