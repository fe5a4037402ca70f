// What the trace writes down at the scheduler's seams, and the stacks it has seen there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "record/stack_table.hpp"
#include "record/trace_event.hpp"
#include "sched/gmp/observer.hpp"

namespace gort::report {

/// Tables for sched::observe(): all events, with the stacks of those that have one, or without.
extern const sched::observer trace_with_stacks, trace_without_stacks;

/// Both all zero again: waits for those who still write. CPU samples' gate is closed. False: no
/// memory.
bool reset_trace_stacks() noexcept;
record::stack_table& trace_stacks() noexcept;

/// What a program says itself: on a goroutine, else nothing. `words` without the stack.
void note_in_trace(record::trace_kind kind, std::uint64_t id, std::uint64_t word,
                   std::string_view text, std::string_view more = {}) noexcept;

/// A CPU profile's sample: from a signal's handler, on any thread. g: the goroutine on whose stack
/// it was taken, or null.
void note_cpu_sample(const void* const* pcs, std::size_t count, const detail::g* g) noexcept;

/// The calling goroutine; 0 on a plain thread.
std::uint64_t traced_goroutine() noexcept;

}  // namespace gort::report
