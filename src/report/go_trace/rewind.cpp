#include "report/go_trace/rewind.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

namespace gort::report {

namespace {

using record::trace_kind;

struct world {
  struct goroutine {
    trace_model::state is = trace_model::state::runnable;
    std::uint64_t thread = 0;
    stack_key stack = stack_key::none;
  };
  std::unordered_map<std::uint64_t, goroutine> goroutines;
  std::map<std::uint64_t, std::optional<std::uint64_t>> procs;  // whose thread
  std::uint64_t proc_count = 0;

  using state = trace_model::state;

  bool is(std::uint64_t id, state s) const {
    const auto found = goroutines.find(id);
    return found != goroutines.end() && found->second.is == s;
  }
  // In a call, too: nothing but the loss of a P tells of one that was not announced.
  bool runs_on(std::uint64_t id, std::uint64_t thread) const {
    const auto found = goroutines.find(id);
    if (found == goroutines.end() || found->second.thread != thread) return false;
    return found->second.is == state::running || found->second.is == state::in_call;
  }
  std::optional<std::uint64_t> holder_of(std::uint64_t p) const {
    const auto found = procs.find(p);
    return found == procs.end() ? std::nullopt : found->second;
  }

  // Whether it can have been the last thing that happened.
  bool can_undo(const trace_event& e) const {
    switch (e.kind) {
      case trace_kind::create:
      case trace_kind::stop:
      case trace_kind::call_left:
      case trace_kind::unblock: return is(e.id, state::runnable);
      case trace_kind::start:
      case trace_kind::call_begin:
      case trace_kind::call_end: return runs_on(e.id, e.thread);
      case trace_kind::strays: return runs_on(e.id, e.words[0]);
      case trace_kind::block: return is(e.id, state::waiting);
      case trace_kind::end: return !goroutines.contains(e.id);
      case trace_kind::p_gets: return holder_of(e.id) == e.words[0];
      case trace_kind::p_loses: return !holder_of(e.id).has_value();
      default: return true;
    }
  }

  // What was before it.
  void undo(const trace_event& e) {
    switch (e.kind) {
      case trace_kind::create: goroutines.erase(e.id); break;
      case trace_kind::strays:
      case trace_kind::start: goroutines[e.id] = {state::runnable, 0, stack_key::none}; break;
      case trace_kind::block:
      case trace_kind::stop:
      case trace_kind::end:
      case trace_kind::call_begin:
        goroutines[e.id] = {state::running, e.thread, stack_key::none};
        break;
      case trace_kind::unblock: goroutines[e.id] = {state::waiting, 0, stack_key::none}; break;
      case trace_kind::call_end:
      case trace_kind::call_left:
        goroutines[e.id] = {state::in_call, e.thread, stack_key::none};
        break;
      case trace_kind::p_gets: procs[e.id].reset(); break;
      case trace_kind::p_loses: procs[e.id] = e.words[0]; break;
      default: break;
    }
  }
};

// What has no part in what was seen. Threads without a P go on while goroutines are looked at, and
// may have told of one what comes true only after that: the last that was told of it, or the last
// but those.
class latest_events {
 public:
  latest_events(const trace_order& events, const trace_snapshot& end) {
    constexpr std::int64_t late_ns = 50'000'000;
    const std::int64_t from_ns = end.began_ns - late_ns;
    events.for_each([&](const trace_event& e) {
      if (e.at_ns > from_ns && e.at_ns <= end.settled_ns && is_of_goroutine(e))
        times_[e.id].push_back(e.at_ns);
    });
    for (auto& [id, times] : times_) std::ranges::sort(times);
  }

  // It cannot have been the last thing that happened. True: it has not happened yet.
  bool has(const trace_event& e) {
    if (!is_of_goroutine(e)) return false;
    const auto found = times_.find(e.id);
    if (found == times_.end() || found->second.empty()) return false;
    // A later one that is of the same time may be what it waits for.
    std::vector<std::int64_t>& times = found->second;
    const bool is_last =
        times.back() == e.at_ns && (times.size() == 1 || times[times.size() - 2] != e.at_ns);
    if (is_last) times.pop_back();
    return is_last;
  }

  void ends_with(const trace_event& seen) {
    if (is_of_goroutine(seen)) times_.erase(seen.id);
  }

 private:
  static bool is_of_goroutine(const trace_event& e) {
    return e.kind >= trace_kind::create && e.kind <= trace_kind::strays;
  }
  std::unordered_map<std::uint64_t, std::vector<std::int64_t>> times_;
};

}  // namespace

void rewind_to(std::int64_t at_ns, const trace_order& events, const trace_snapshot& end,
               trace_model& to) {
  world w;
  for (std::uint64_t p = 0; p < end.procs; ++p) {
    auto& holder = w.procs[p];
    if (end.holds_p && p == end.own_p) holder = end.own_thread;
  }
  for (std::size_t i = 0; i < end.count; ++i) {
    const trace_snapshot::goroutine& g = end.goroutines[i];
    w.goroutines[g.id] = {g.is, g.thread, stack_key{g.stack}};
  }
  latest_events unseen(events, end);
  events.backwards([&](const trace_event& e, bool force) {
    if (e.at_ns < at_ns || e.at_ns > end.settled_ns) return true;
    // It was runnable before that, or another says when it became so.
    if (e.kind == trace_kind::unblock && e.detail == record::told_again) return true;
    const bool possible = w.can_undo(e);
    if (!possible && unseen.has(e)) return true;
    if (!force && !possible) return false;
    w.undo(e);
    unseen.ends_with(e);
    return true;
  });
  to.set_proc_count(end.procs);
  for (const auto& [p, holder] : w.procs) to.add_proc(p, holder.has_value(), holder.value_or(0));
  for (const auto& [id, g] : w.goroutines) to.add_goroutine(id, g.is, g.thread, g.stack);
}

}  // namespace gort::report
