// The state of everything at one moment, which a trace begins with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "report/go_trace/model.hpp"
#include "sched/gmp/observer.hpp"

namespace gort::report {

/// Takes it while the world is stopped, in memory of its own (a stopped thread may be in malloc).
class trace_snapshot {
 public:
  struct goroutine {
    std::uint64_t id;
    std::uint64_t thread;  // on which it runs, or is in a call
    std::uint32_t stack;
    trace_model::state is;
  };

  trace_snapshot() noexcept = default;
  trace_snapshot(const trace_snapshot&) = delete;
  trace_snapshot& operator=(const trace_snapshot&) = delete;
  ~trace_snapshot();

  /// Stops the world, lets `table` be told from then on, and looks at what is the case. Null: at
  /// what has been told so far. False: no memory. Blocks.
  bool take(const sched::observer* table, bool with_stacks);

  /// Before, everything in the lanes is of the past; from `settled_ns` on, nothing has been seen.
  std::int64_t began_ns = 0, settled_ns = 0;
  std::size_t count = 0;
  std::size_t missing = 0;  // goroutines that came while there was no room
  goroutine* goroutines = nullptr;
  std::uint64_t procs = 0;
  bool holds_p = false;  // who took it; the other Ps were idle
  std::uint64_t own_p = 0;
  std::uint64_t own_thread = 0;

 private:
  void add(const goroutine& one) noexcept;
  std::size_t room_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace gort::report
