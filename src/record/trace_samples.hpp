// CPU samples on their way into an execution trace.
//
// Problem: a profile's handler interrupts a thread anywhere, in the middle of an event of its own
// lane too, and on threads that have no lane.
//
// So they have a queue of their own, of a fixed size (bounded_queue.hpp). What finds no room is
// counted. Some hundred samples come between two looks of the reader, so it has room to spare.
#pragma once

#include <cstdint>

#include "record/gate.hpp"

namespace gort::record {

struct trace_sample {
  std::int64_t at_ns;    // event_ns()
  std::uint64_t thread;  // the kernel's number
  std::uint64_t g;       // 0: none
  std::uint32_t stack;   // of the trace's table
};

/// Open while a trace wants them. A handler is inside while it adds one.
extern gate trace_samples_gate;

/// Inside the gate.
void add_trace_sample(const trace_sample& one) noexcept;
/// By the reader of the trace. False: there is none.
bool take_trace_sample(trace_sample& one) noexcept;
/// How many were lost since the last call.
std::uint64_t take_lost_trace_samples() noexcept;

}  // namespace gort::record
