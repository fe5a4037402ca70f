// The heap profile (record/heap.hpp), for readers: what is in use, and what was ever allocated.
#pragma once

#include <cstdint>

#include <gort/pprof.hpp>

#include "report/pprof/profile_data.hpp"

namespace gort::pprof {

/// Collects the managed heap, if the program uses it. Parks.
void prepare_heap();
std::int64_t heap_count();
/// Tools show what is in use first.
report::profile_data collect_heap();
/// The same, but tools show what was allocated first.
report::profile_data collect_allocs();
void write_heap_text(const sink& to, int debug);

}  // namespace gort::pprof
