#include "report/go_trace/rewind.hpp"

#include <map>
#include <optional>
#include <unordered_map>

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

  // What was before it.
  void undo(const trace_event& e) {
    using state = trace_model::state;
    switch (e.kind) {
      case trace_kind::create: goroutines.erase(e.id); break;
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
  events.backwards([&](const trace_event& e) {
    if (e.at_ns >= at_ns && e.at_ns <= end.settled_ns) w.undo(e);
  });
  to.set_proc_count(end.procs);
  for (const auto& [p, holder] : w.procs) to.add_proc(p, holder.has_value(), holder.value_or(0));
  for (const auto& [id, g] : w.goroutines) to.add_goroutine(id, g.is, g.thread, g.stack);
}

}  // namespace gort::report
