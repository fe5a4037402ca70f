// What the execution trace is told of cycles, by the collector's thread.
#pragma once

#include <cstdint>

namespace gort::managed {

struct cycle_log;

void trace_begin(const cycle_log& of) noexcept;
void trace_marked(const cycle_log& of) noexcept;
void trace_end(const cycle_log& of) noexcept;

}  // namespace gort::managed
