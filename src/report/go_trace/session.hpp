// What is being traced, and for whom: a stream, a flight recorder, or both.
//
// Invariants
//   [session-1] Everything here is guarded by `lock`, a gort::mutex, but what the scheduler's seams
//               write (record/trace_lane.hpp), and `is_on`, a hint. `recorder_of` and
//               `snapshot_of` are changed under it, and read without: who makes a snapshot holds it
//               for milliseconds, and whoever is refused for that is in a hurry.
//   [session-2] While there is a stream or a recorder, a goroutine of ours reads the lanes every
//               `period_ns`: that of the stream, if there is one. What it makes of them waits in
//               the stream.
//   [session-3] A stream begins with a snapshot of the stopped world and goes on from there. A
//               recorder keeps chunks, and begins at the end: with a snapshot when it is written,
//               from which the events lead back (rewind.hpp).
//   [session-4] A sink is the program's: it is called without the lock, and may block for as
//               long as it likes, or call what is in trace.hpp. Who calls it has `turn`, and takes
//               all that waits: so the pieces stay in order, and after him, once the stream has
//               ended, nothing waits any more. `lock` may be taken with `turn`, not the other way.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>

#include <gort/detail/atomic.hpp>
#include <gort/mutex.hpp>
#include <gort/trace.hpp>
#include <gort/wait_group.hpp>

#include "report/go_trace/format.hpp"
#include "report/go_trace/model.hpp"
#include "report/go_trace/names.hpp"
#include "report/go_trace/order.hpp"
#include "report/go_trace/reader.hpp"

namespace gort::report {

class trace_session {
 public:
  static trace_session& only();

  std::error_code start(trace::sink to, const trace::options& how);
  trace::counts stop();

  std::error_code start_recorder(const void* who, const trace::flight_recorder::config& how);
  void stop_recorder(const void* who) noexcept;
  bool records_for(const void* who) const noexcept { return recorder_of_.load_relaxed() == who; }
  /// `last` becomes the same as `how` where all of it has been written.
  std::error_code write_recorder(const void* who, const trace::sink& to, trace::counts& how,
                                 trace::counts& last);
  trace::counts counts_in(const trace::counts& last) noexcept;

  static detail::atomic<std::uint32_t> is_on;

 private:
  // One that is being written: what is made of the events goes to `bytes_go_to`.
  struct stream {
    explicit stream(trace_file::sink bytes_go_to);
    trace_names names;
    trace_file file;
    trace_model model;
    trace_order order;
    std::int64_t began_ns = 0;
    std::int64_t generation_ns = 0;
    std::uint64_t lost_stacks_before = 0;
    std::uint64_t untold_losses = 0;  // when it was last read
  };
  // Where that goes, and what came of it.
  struct receiver {
    trace::sink to;
    std::exception_ptr failed;
    void write(std::string_view bytes);
  };
  // Of start(), whose receiver may be slow.
  struct live_stream : stream {
    explicit live_stream(trace::sink to);
    receiver at_end;                  // under `turn`
    mutex turn;                       // [session-4]
    std::string waiting;              // guarded by `lock`, as is:
    const void* called_by = nullptr;  // the goroutine that calls the sink
  };
  struct snapshot_end;
  struct recorder {
    const void* who;
    trace::flight_recorder::config how;
    std::int64_t forgotten_ns = 0;  // all that is older is incomplete
  };

  bool open(std::size_t buffer_bytes);
  void observe_no_more() noexcept;
  static bool start_reader(void (*reads)(trace_session&));
  void read_stream();
  void read_for_recorder();
  void hand_over(live_stream& s);
  void fill(trace_model& to, const class trace_snapshot& seen) const;
  void step(bool last);
  void forget_the_old();
  void drop_kept() noexcept;

  mutex lock_;
  trace_reader reader_;
  std::shared_ptr<live_stream> stream_;
  std::weak_ptr<live_stream> ended_;  // the last one, while a part of it waits
  std::optional<recorder> recorder_;
  detail::atomic<const void*> recorder_of_;  // its `who`; null: there is none
  detail::atomic<const void*> snapshot_of_;  // whose is being made
  std::size_t chunks_ = 0;                   // that the lanes may use
  bool recorder_is_read_ = false;  // by a goroutine of its own
};

}  // namespace gort::report
