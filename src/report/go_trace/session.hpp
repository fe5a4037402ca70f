// What is being traced, and for whom: a stream, a flight recorder, or both.
//
// Invariants
//   [session-1] Everything here is guarded by `lock`, a gort::mutex, but what the scheduler's seams
//               write (record/trace_lane.hpp) and `is_on`, a hint.
//   [session-2] While there is a stream or a recorder, one goroutine of ours reads the lanes every
//               `period_ns`. It is the only one that calls the sink, until stop() has seen it end.
//   [session-3] A stream begins with a snapshot of the stopped world and goes on from there. A
//               recorder keeps chunks, and begins at the end: with a snapshot when it is written,
//               from which the events lead back (rewind.hpp).
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>

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
  bool records_for(const void* who) noexcept;
  std::error_code write_recorder(const void* who, const trace::sink& to, trace::counts& how);

  static detail::atomic<std::uint32_t> is_on;

 private:
  // One that is being written.
  struct stream {
    stream(trace::sink where, trace_session& of);
    trace::sink to;
    std::exception_ptr failed;
    trace_names names;
    trace_file file;
    trace_model model;
    trace_order order;
    std::int64_t began_ns = 0;
    std::int64_t generation_ns = 0;
    std::uint64_t lost_stacks_before = 0;
    void write(std::string_view bytes);
  };
  struct recorder {
    const void* who;
    trace::flight_recorder::config how;
    std::int64_t forgotten_ns = 0;  // all that is older is incomplete
  };

  bool open(std::size_t buffer_bytes);
  void observe_no_more() noexcept;
  bool start_reader();
  void read_on();
  void fill(trace_model& to, const class trace_snapshot& seen) const;
  void step(bool last);
  void forget_the_old();
  void drop_kept() noexcept;

  mutex lock_;
  trace_reader reader_;
  std::unique_ptr<stream> stream_;
  std::optional<recorder> recorder_;
  std::size_t chunks_ = 0;  // that the lanes may use
  bool snapshot_in_progress_ = false;
  bool reader_runs_ = false;
};

}  // namespace gort::report
