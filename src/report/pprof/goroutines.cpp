// Goroutines are taken down as for a dump (report/snapshot.hpp): addresses only, while the world is
// stopped; what takes time comes afterwards.
#include "report/pprof/goroutines.hpp"

#include <algorithm>
#include <array>
#include <exception>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include <gort/debug.hpp>
#include <gort/runtime.hpp>

#include "record/made.hpp"
#include "report/dump.hpp"
#include "report/labels.hpp"
#include "report/leaks.hpp"
#include "report/pprof/sampled.hpp"
#include "report/pprof/text.hpp"
#include "report/snapshot.hpp"

namespace gort::pprof {

namespace {

using report::profile_data;
using report::sample_label;

profile_data counting(const char* what) {
  profile_data data({report::value_type{what, "count"}});
  data.period_type = {what, "count"};
  data.period = 1;
  data.time_ns = report::unix_time_ns();
  return data;
}

constexpr std::array<std::int64_t, 1> one{1};

// What takes its addresses down as an exception passes through code that must not see any.
struct guarded_sink {
  const sink& to;
  std::exception_ptr thrown = nullptr;

  static bool write(void* raw, std::string_view piece) noexcept {
    auto& me = *static_cast<guarded_sink*>(raw);
    try {
      me.to(piece);
      return true;
    } catch (...) {
      me.thrown = std::current_exception();
      return false;
    }
  }
};

// A goroutine's name counts as a label.
void take_labels(std::vector<sample_label>& to, std::string_view name,
                 const gort::detail::label_set* labels) {
  to.clear();
  if (labels != nullptr) {
    for (const auto& [key, value] : report::texts_of(*labels).all) to.push_back({key, value});
  }
  constexpr std::string_view key = "name";
  if (name.empty()) return;
  const auto at = std::ranges::lower_bound(to, key, {}, &sample_label::key);
  if (at == to.end() || at->key != key) to.insert(at, {std::string(key), std::string(name)});
}

}  // namespace

std::int64_t goroutine_count() { return runtime::num_goroutine(); }

namespace {

// All, or those that the last search has found to be leaked.
profile_data collect_stacks(const char* what, bool leaked_only) {
  profile_data data = counting(what);
  report::snapshot seen;
  take_snapshot(seen, {}, sched::current_goroutine());
  std::vector<const void*> frames;
  std::vector<sample_label> labels;
  seen.for_each([&](const sched::goroutine_view& view, const report::trace& trace,
                    const gort::detail::label_set* set) {
    if (leaked_only && !view.is_leaked) return;
    frames.assign(trace.inner, trace.inner + trace.inner_count());
    const std::size_t outer = trace.outer_count();
    const std::size_t behind = trace.count - trace.inner_count();
    for (std::size_t i = behind - outer; i < behind; ++i)
      frames.push_back(trace.outer[i % report::trace::half]);
    // One that has not run yet is in the function that it will run.
    if (frames.empty() && view.entry_pc != nullptr)
      frames.push_back(static_cast<const char*>(view.entry_pc) + 1);
    take_labels(labels, view.name, set);
    data.add(frames, one, labels);
  });
  return data;
}

}  // namespace

profile_data collect_goroutines() { return collect_stacks("goroutine", false); }

std::int64_t leak_count() { return static_cast<std::int64_t>(report::leaks_found()); }

profile_data collect_leaks() {
  report::find_leaks();
  return collect_stacks("goroutineleak", true);
}

namespace {

// Calls add(creation site, labels) for each that exists.
template <class F>
void for_each_creation(F add) {
  report::snapshot seen;
  take_snapshot(seen, {.stacks = false}, sched::current_goroutine());
  std::vector<sample_label> labels;
  seen.for_each([&](const sched::goroutine_view& view, const report::trace&,
                    const gort::detail::label_set* set) {
    take_labels(labels, view.name, set);
    const std::span<const void* const> site(&view.creation_pc, view.creation_pc == nullptr ? 0 : 1);
    add(site, labels);
  });
}

}  // namespace

profile_data collect_creation() {
  profile_data data({{"goroutine", "count"}, {"started", "count"}});
  data.period_type = {"goroutine", "count"};
  data.default_type = "goroutine";
  data.period = 1;
  data.time_ns = report::unix_time_ns();
  for_each_creation([&](profile_data::stack site, const std::vector<sample_label>& labels) {
    data.add(site, std::array<std::int64_t, 2>{1, 0}, labels);
  });
  record::goroutines_made.table().for_each([&](const record::event_table::bucket& each) {
    const std::array<std::int64_t, 2> values{0, each.sum(record::made_things::made)};
    data.add(each.frames(), values, report::labels_of(each));
  });
  return data;
}

// Only what exists.
void write_creation_text(const sink& to, int) {
  profile_data data = counting("goroutine");
  for_each_creation([&](profile_data::stack site, const std::vector<sample_label>& labels) {
    data.add(site, one, labels);
  });
  to(report::counts_as_text("creation", data));
}

namespace {

bool has_label(const goroutine_filter& which, std::string_view name,
               const gort::detail::label_set* labels) {
  const auto fits = [&](std::string_view key, std::string_view value) {
    return key == which.label_key && (which.label_value.empty() || value == which.label_value);
  };
  if (!name.empty() && fits("name", name)) return true;
  if (labels == nullptr) return false;
  return std::ranges::any_of(report::texts_of(*labels).all,
                             [&](const auto& each) { return fits(each.first, each.second); });
}

bool is_wanted(void* raw, const sched::goroutine_view& view,
               const gort::detail::label_set* labels) {
  const auto& which = *static_cast<const goroutine_filter*>(raw);
  return (which.state.empty() || which.state == report::state_text(view)) &&
         (which.label_key.empty() || has_label(which, view.name, labels));
}

}  // namespace

void write_goroutine_dump(const sink& to, const goroutine_filter& which) {
  guarded_sink guarded{to};
  {
    report::text_sink out(guarded_sink::write, &guarded);
    report::print_all_goroutines(out, {.shows = is_wanted,
                                       .shows_argument = const_cast<goroutine_filter*>(&which),
                                       .limit = which.limit});
  }
  if (guarded.thrown != nullptr) std::rethrow_exception(guarded.thrown);
}

std::string goroutine_states() {
  report::snapshot seen;
  take_snapshot(seen, {.stacks = false}, sched::current_goroutine());
  std::map<std::string_view, std::size_t> counts;
  seen.for_each([&](const sched::goroutine_view& view, const report::trace&,
                    const gort::detail::label_set*) { ++counts[report::state_text(view)]; });
  std::string out;
  for (const auto& [state, count] : counts) {
    (out += out.empty() ? "" : ", ") += state;
    out += " (" + std::to_string(count) + ")";
  }
  return out;
}

void write_goroutine_text(const sink& to, int debug) {
  if (debug < 2) return to(report::counts_as_text("goroutine", collect_goroutines()));
  write_goroutine_dump(to, {});
}

void write_leak_text(const sink& to, int debug) {
  if (debug < 2) return to(report::counts_as_text("goroutineleak", collect_leaks()));
  report::find_leaks();
  write_goroutine_dump(to, {});
}

std::int64_t thread_count() {
  return static_cast<std::int64_t>(debug::read_scheduler_counts().threads);
}

profile_data collect_threads() {
  profile_data data = counting("threadcreate");
  data.add({}, std::array<std::int64_t, 1>{thread_count()});
  return data;
}

}  // namespace gort::pprof
