// What a crash's report needs of sched_trace.cpp.
#pragma once

#include "report/text_sink.hpp"

namespace gort::report {

/// The line of GODEBUG=schedtrace, if that is asked for, and if the scheduler's lock is surely
/// free.
void print_sched_trace_of_crash(text_sink& out) noexcept;

}  // namespace gort::report
