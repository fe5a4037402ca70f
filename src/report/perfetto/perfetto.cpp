// An execution trace as Perfetto shows it: for people without Go.
//
//   Processors    a track for each P: which goroutine runs on it
//   Goroutines    a track for each: running, runnable, in a call, or what it waits for; below it
//                 its regions, if it has any; logs where they were written
//   Tasks         a track for each
//   stops of the world, GOMAXPROCS, CPU samples
//
// Arrows lead from where a goroutine was woken or created to where it starts.
#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <gort/error.hpp>
#include <gort/trace.hpp>

#include "report/go_trace/format.hpp"
#include "report/perfetto/packets.hpp"
#include "report/perfetto/trace_reader.hpp"

namespace gort::report {

namespace {

constexpr track_id program = 1, all_procs = 2, all_goroutines = 3, all_tasks = 4, stops = 5,
                   gomaxprocs = 6, samples = 7;
enum class track_of : std::uint64_t { proc = 1, goroutine, regions, task };
constexpr track_id numbered(track_of what, std::uint64_t id) {
  constexpr int kind_at = 60;
  return static_cast<std::uint64_t>(what) << kind_at | (id & ((std::uint64_t{1} << kind_at) - 1));
}

// Types of Go's format that gort does not write, but Go does.
constexpr std::uint8_t go_switch = 45, go_switch_destroy = 46, go_create_blocked = 47,
                       proc_steal = 12, go_destroy_syscall = 18;

class converter {
 public:
  explicit converter(const std::function<void(std::string_view)>& to) : out_(to) {
    out_.process(program, "goroutines");
    out_.track(all_procs, program, "Processors");
    out_.track(all_goroutines, program, "Goroutines");
    out_.track(stops, program, "Stops of the world");
    out_.track(samples, program, "CPU samples");
    out_.counter(gomaxprocs, program, "GOMAXPROCS");
  }

  void take(const read_generation& of) {
    of_ = &of;
    auto sample = of.samples.begin();
    for (const read_event& e : of.events) {
      for (; sample != of.samples.end() && sample->at_ns <= e.at_ns; ++sample) show(*sample);
      last_ns_ = e.at_ns;
      happened(e);
    }
    for (; sample != of.samples.end(); ++sample) show(*sample);
  }

  // What is still open ends with the trace.
  void finish() {
    for (auto& [id, g] : goroutines_) {
      if (g.is_open) out_.end(last_ns_, numbered(track_of::goroutine, id));
      for (; g.regions != 0; --g.regions) out_.end(last_ns_, numbered(track_of::regions, id));
    }
    for (auto& [id, p] : procs_) end_on_p(id);
    for (const std::uint64_t id : tasks_) out_.end(last_ns_, numbered(track_of::task, id));
    if (stopped_) out_.end(last_ns_, stops);
  }

 private:
  struct goroutine {
    std::string name;
    bool is_open = false;  // a state is shown
    bool is_alive = true;
    std::uint64_t flow = 0;  // an arrow that ends where it starts
    unsigned regions = 0;
    bool has_regions = false;
  };
  struct proc {
    bool is_open = false;
  };
  struct thread {
    std::optional<std::uint64_t> p;
    std::uint64_t g = 0;
  };

  std::vector<read_frame> stack(std::uint64_t id) const { return of_->stack(id); }

  goroutine& known(std::uint64_t id, const std::vector<read_frame>& entry = {}) {
    const auto [at, is_new] = goroutines_.try_emplace(id);
    goroutine& g = at->second;
    if (is_new || !g.is_alive) {
      g = {};
      g.name = "G" + std::to_string(id);
      if (!entry.empty()) g.name.append(" ").append(entry.back().function);
      out_.track(numbered(track_of::goroutine, id), all_goroutines, g.name);
    }
    return g;
  }

  void known_proc(std::uint64_t id) {
    if (procs_.try_emplace(id).second)
      out_.track(numbered(track_of::proc, id), all_procs, "P" + std::to_string(id));
  }

  void state(std::uint64_t id, std::string_view what, const std::vector<read_frame>& at = {}) {
    goroutine& g = known(id, at);
    const track_id on = numbered(track_of::goroutine, id);
    if (g.is_open) out_.end(last_ns_, on);
    g.is_open = !what.empty();
    if (g.is_open) out_.begin(last_ns_, on, what, {.stack = at});
  }

  void end_on_p(std::uint64_t id) {
    proc& p = procs_[id];
    if (p.is_open) out_.end(last_ns_, numbered(track_of::proc, id));
    p.is_open = false;
  }

  void runs(thread& on, std::uint64_t id) {
    goroutine& g = known(id);
    state(id, "running");
    on.g = id;
    if (!on.p.has_value()) return;
    end_on_p(*on.p);
    procs_[*on.p].is_open = true;
    out_.begin(last_ns_, numbered(track_of::proc, *on.p), g.name, {.flow_to = g.flow});
    g.flow = 0;
  }

  void leaves(thread& on) {
    if (on.p.has_value()) end_on_p(*on.p);
    on.g = 0;
  }

  // Where an arrow to its next start begins.
  void arrow(const thread& on, std::uint64_t id, std::string_view what,
             const std::vector<read_frame>& at) {
    goroutine& g = known(id);
    if (!on.p.has_value()) return;
    g.flow = ++flows_;
    out_.instant(last_ns_, numbered(track_of::proc, *on.p), what,
                 {.stack = at, .flow_from = g.flow});
  }

  void loses_p(thread& on) {
    if (!on.p.has_value()) return;
    end_on_p(*on.p);
    on.p.reset();
  }

  void show(const read_sample& s) {
    const auto at = stack(s.stack);
    const std::string of = s.g == 0 ? "thread " + std::to_string(s.thread) : known(s.g).name;
    out_.instant(s.at_ns, samples, at.empty() ? "unknown" : at.front().function,
                 {.stack = at, .key = "of", .value = of});
  }

  void region(const read_event& e, std::uint64_t id) {
    goroutine& g = known(id);
    const track_id on = numbered(track_of::regions, id);
    if (e.type == static_cast<std::uint8_t>(wire::region_begin)) {
      if (!g.has_regions) out_.track(on, numbered(track_of::goroutine, id), "regions");
      g.has_regions = true;
      ++g.regions;
      out_.begin(last_ns_, on, of_->text(e.arguments[1]), {.stack = stack(e.arguments[2])});
    } else if (g.regions != 0) {
      --g.regions;
      out_.end(last_ns_, on);
    }
  }

  void status(const read_event& e) {
    const auto [id, m, is] = std::tuple(e.arguments[0], e.arguments[1], e.arguments[2]);
    if (goroutines_.contains(id) && goroutines_[id].is_alive) return;  // of a later generation
    static constexpr std::array<std::string_view, 5> names{"", "runnable", "running", "in a call",
                                                           "waiting"};
    constexpr std::uint64_t running = 2, in_call = 3;
    const bool has_stack = e.type == static_cast<std::uint8_t>(wire::go_status_stack);
    if (is == running) return runs(threads_[m], id);
    state(id, is < names.size() ? names[is] : "",
          has_stack ? stack(e.arguments[3]) : std::vector<read_frame>());
    if (is == in_call) threads_[m].g = id;
  }

  void happened(const read_event& e) {
    thread& on = threads_[e.thread];
    const auto& a = e.arguments;
    switch (static_cast<wire>(e.type)) {
      case wire::procs_change:
        return out_.count(last_ns_, gomaxprocs, static_cast<std::int64_t>(a[0]));
      case wire::proc_start:
        known_proc(a[0]);
        on.p = a[0];
        return;
      case wire::proc_stop: return loses_p(on);
      case wire::proc_status:
        known_proc(a[0]);
        if (a[1] == 1 || a[1] == 3) on.p = a[0];
        return;
      case wire::go_create: {
        known(a[0], stack(a[1]));
        state(a[0], "runnable");
        return arrow(on, a[0], "starts", stack(a[2]));
      }
      case wire::go_create_syscall:
        known(a[0]);
        on.g = a[0];
        return state(a[0], "in a call");
      case wire::go_start: return runs(on, a[0]);
      case wire::go_destroy: return ends(on);
      case wire::go_stop:
        if (on.g != 0) state(on.g, "runnable", stack(a[1]));
        return leaves(on);
      case wire::go_block:
        if (on.g != 0) state(on.g, of_->text(a[0]), stack(a[1]));
        return leaves(on);
      case wire::go_unblock: state(a[0], "runnable"); return arrow(on, a[0], "wakes", stack(a[2]));
      case wire::go_syscall_begin:
        if (on.g != 0) state(on.g, "in a call", stack(a[1]));
        return;
      case wire::go_syscall_end:
        if (on.g != 0) state(on.g, "running");
        return;
      case wire::go_syscall_end_blocked:
        if (on.g != 0) state(on.g, "runnable");
        return leaves(on);
      case wire::go_status:
      case wire::go_status_stack: return status(e);
      case wire::stw_begin:
        stopped_ = true;
        return out_.begin(last_ns_, stops, of_->text(a[0]), {.stack = stack(a[1])});
      case wire::stw_end:
        if (std::exchange(stopped_, false)) out_.end(last_ns_, stops);
        return;
      case wire::task_begin: return begin_task(a[0], a[1], of_->text(a[2]), stack(a[3]));
      case wire::task_end:
        if (tasks_.erase(a[0]) != 0) out_.end(last_ns_, numbered(track_of::task, a[0]));
        return;
      case wire::region_begin:
      case wire::region_end: return region(e, on.g);
      case wire::user_log:
        return out_.instant(last_ns_, on.g == 0 ? program : numbered(track_of::goroutine, on.g),
                            of_->text(a[2]),
                            {.stack = stack(a[3]), .key = "category", .value = of_->text(a[1])});
      default: return of_go(e, on);
    }
  }

  void of_go(const read_event& e, thread& on) {
    const auto& a = e.arguments;
    if (e.type == proc_steal) {
      for (auto& [id, each] : threads_)
        if (each.p == a[0]) loses_p(each);
    } else if (e.type == go_switch || e.type == go_switch_destroy) {
      if (e.type == go_switch_destroy)
        ends(on);
      else if (on.g != 0)
        state(on.g, "waiting");
      runs(on, a[0]);
    } else if (e.type == go_create_blocked) {
      known(a[0], stack(a[1]));
      state(a[0], "waiting");
    } else if (e.type == go_destroy_syscall) {
      ends(on);
    }
  }

  void ends(thread& on) {
    if (on.g != 0) {
      state(on.g, "");
      goroutines_[on.g].is_alive = false;
    }
    leaves(on);
  }

  void begin_task(std::uint64_t id, std::uint64_t parent, std::string_view name,
                  const std::vector<read_frame>& at) {
    if (!tasks_.insert(id).second) return;
    if (!std::exchange(has_tasks_, true)) out_.track(all_tasks, program, "Tasks");
    const track_id above = tasks_.contains(parent) ? numbered(track_of::task, parent) : all_tasks;
    const track_id on = numbered(track_of::task, id);
    out_.track(on, above, std::string(name) + " " + std::to_string(id));
    out_.begin(last_ns_, on, name, {.stack = at});
  }

  perfetto_packets out_;
  const read_generation* of_ = nullptr;
  std::int64_t last_ns_ = 0;
  std::map<std::uint64_t, goroutine> goroutines_;
  std::map<std::uint64_t, proc> procs_;
  std::map<std::uint64_t, thread> threads_;
  std::set<std::uint64_t> tasks_;
  std::uint64_t flows_ = 0;
  bool stopped_ = false;
  bool has_tasks_ = false;
};

}  // namespace

}  // namespace gort::report

namespace gort::trace {

void to_perfetto(std::string_view file, const sink& to) {
  if (to == nullptr) throw runtime_error("to_perfetto: no sink to write to");
  std::optional<report::converter> made;  // it writes at once, and this may be no trace
  const auto convert = [&]() -> report::converter& { return made ? *made : made.emplace(to); };
  report::read_trace(file, [&](const report::read_generation& each) { convert().take(each); });
  convert().finish();
}

}  // namespace gort::trace
