// The state machine of Go's trace: what has happened, from the recorder's events.
//
// Problem: the format's reader refuses a file in which one event does not follow from those before
// it: each goroutine, P and thread is in a state; events that one thread does to what another holds
// carry numbers that must be consecutive; every generation starts them anew and begins with
// statuses. Our events come from many threads without such numbers, may be missing (no room), and
// gort knows states that the format does not (a thread parked in place, a stray).
//
// So the model holds the state that a reader of the file has, and writes only what may follow. An
// event that may not, may have to wait for another thread's: apply() says false then. If that does
// not come, apply() is told to force it, and writes what must have been in between. That is a
// *repair*, and is counted: without lost events there are none.
//
// How gort's states are shown:
//   - a goroutine whose thread has lost its P in user code (a stray): in a system call, found by
//     sysmon (begun without a stack), until it enters gort; where it becomes one without having had
//     a P, it has one for that moment that nobody else has;
//   - one that is preempted: runnable, off the thread; when its thread goes on it has started
//   there;
//   - what a stray does at gort (it blocks, starts a goroutine, logs): it leaves its call for that
//     moment with a P that nobody else has, numbered from `spare_procs` on;
//   - the managed heap's collector, which is a thread beside GOMAXPROCS: as a goroutine of its own,
//     which begins with each cycle, on a P that nobody else has;
//   - started by a plain thread: as Go shows a thread that comes from C (CreateSyscall).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "record/trace_event.hpp"
#include "report/go_trace/format.hpp"
#include "report/go_trace/near_map.hpp"

namespace gort::report {

/// One of the recorder's, with its lane's thread and a time.
struct trace_event {
  std::int64_t at_ns = 0;
  std::uint64_t thread = 0;
  std::uint64_t id = 0;
  std::uint64_t words[3] = {};
  record::trace_kind kind = record::trace_kind::none;
  std::uint8_t detail = 0;
  bool has_p = true;  // its thread, then
  std::string text;
};

/// The lane of threads that are no Ms.
constexpr std::uint64_t outside_thread = 0;
/// No P of the program has such a number.
constexpr std::uint64_t spare_procs = 1'000'000;

class trace_model {
 public:
  enum class state : std::uint8_t { runnable, running, in_call, waiting };

  explicit trace_model(trace_file& to) : out_(to) {}

  // What there is when the trace begins, before start(): first the Ps.
  void add_proc(std::uint64_t p, bool held, std::uint64_t thread);
  void add_goroutine(std::uint64_t id, state s, std::uint64_t thread, stack_key stack);
  bool knows(std::uint64_t id) const { return goroutines_.contains(id); }
  void set_proc_count(std::uint64_t count) { proc_count_ = count; }
  /// The first generation: all of them are mentioned. What is told of before `settled_ns` may have
  /// been seen by who looked at them.
  void start(std::int64_t at_ns, std::int64_t settled_ns);

  /// False: it cannot have happened yet; never if `force`.
  bool apply(const trace_event& e, bool force);

  void next_generation(std::int64_t at_ns);
  void end();

  void cpu_sample(std::int64_t at_ns, std::uint64_t thread, std::uint64_t g, stack_key stack);

  std::uint64_t events() const noexcept { return events_; }
  std::uint64_t lost() const noexcept { return lost_; }
  std::uint64_t repairs() const noexcept { return repairs_; }
  /// For a report of a fault; empty if there was none.
  const std::string& first_repair() const noexcept { return first_repair_; }

 private:
  enum class p_state : std::uint8_t { idle, running, in_call };
  struct proc {
    p_state is = p_state::idle;
    std::uint64_t thread = 0;
    std::uint64_t generation = 0;
    std::uint64_t sequence = 0;
  };
  static constexpr std::uint64_t no_proc = ~std::uint64_t{0};
  struct thread_state {
    std::uint64_t p = no_proc;
    std::uint64_t g = 0;
  };
  struct goroutine {
    state is = state::runnable;
    std::uint64_t thread = 0;  // while running or in a call
    std::uint64_t generation = 0;
    std::uint64_t sequence = 0;
    stack_key stack = stack_key::none;  // where it blocked

    bool is_bound() const noexcept { return is == state::running || is == state::in_call; }
  };
  using region = std::pair<std::uint64_t, std::string>;

  void emit(std::uint64_t thread, wire type, std::initializer_list<std::uint64_t> arguments);
  std::uint64_t stack_of(const trace_event& e) { return out_.stack(stack_key{e.words[0]}); }
  goroutine* find(std::uint64_t id) { return goroutines_.find(id); }
  void repair(std::string_view what);
  void touch(std::uint64_t id, proc& p);
  void touch(std::uint64_t id, goroutine& g);
  std::uint64_t next_of(std::uint64_t id, proc& p);
  std::uint64_t next_of(std::uint64_t id, goroutine& g);
  void mention_the_held();
  void announce_procs(std::uint64_t thread);
  void announce_where_one_runs();
  void close_stop();

  // Each writes what brings it about; false: not possible without force.
  bool start_on(std::uint64_t thread, std::uint64_t id, bool force);
  bool running_on(std::uint64_t thread, std::uint64_t id, bool force);
  bool leave_call(std::uint64_t thread);
  void lose_p(std::uint64_t thread);
  void borrow_p(std::uint64_t thread);
  bool has_spare_p(std::uint64_t thread);
  void unbind(std::uint64_t id, goroutine& g);
  void create_outside(std::uint64_t id, goroutine& g);
  bool act_as_stray(const trace_event& e);
  void unblock(std::uint64_t thread, std::uint64_t id, goroutine& g, stack_key stack);
  void set_runnable(goroutine& g);

  bool dispatch(const trace_event& e, bool force);
  bool create(const trace_event& e);
  bool was_seen(const trace_event& e, state left_for);
  bool block(const trace_event& e, bool force);
  bool stop(const trace_event& e, bool force);
  bool finish(const trace_event& e, bool force);
  bool ready(const trace_event& e, bool force);
  bool begin_call(const trace_event& e, bool force);
  bool end_call(const trace_event& e, bool force);
  bool leave_for_queue(const trace_event& e, bool force);
  bool stray(const trace_event& e, bool force);
  bool gain_p(const trace_event& e, bool force);
  bool give_p(const trace_event& e, bool force);
  bool annotate(const trace_event& e, bool force);
  bool stop_world(const trace_event& e, bool force);
  void note_loss(const trace_event& e);

  // --- the managed heap (collector.cpp)
  enum class gc_phase : std::uint8_t { none, marking, marked, sweeping };
  void collect(const trace_event& e);
  void begin_collecting(const trace_event& e);
  void end_collecting();
  void restate_collecting();
  bool show_heap(const trace_event& e, bool force);
  bool assist(const trace_event& e, bool force);
  void end_assist(std::uint64_t thread, std::uint64_t id);

  trace_file& out_;
  std::int64_t now_ns_ = 0;
  std::int64_t generation_began_ns_ = 0;
  std::int64_t settled_ns_ = 0;
  near_map<proc> procs_;
  near_map<thread_state> threads_;
  near_map<goroutine> goroutines_;
  std::unordered_map<std::uint64_t, std::vector<region>> regions_;
  std::unordered_set<std::uint64_t> tasks_;
  std::uint64_t proc_count_ = 0;
  bool procs_announced_ = false;
  std::uint64_t stop_open_on_ = 0;  // the goroutine that has stopped the world; 0: none
  gc_phase collects_ = gc_phase::none;
  std::uint64_t collector_ = 0;         // its goroutine, while it does
  std::uint64_t collector_thread_ = 0;  // likewise
  std::uint64_t gc_sequence_ = 0;       // of the format: for all generations
  std::unordered_set<std::uint64_t> assisting_;
  std::uint64_t events_ = 0, lost_ = 0, repairs_ = 0;
  const trace_event* applied_ = nullptr;
  std::string first_repair_;
};

}  // namespace gort::report
