// runtime::mem_stats out of the classes of memory and what the managed heap says.
#pragma once

#include <gort/runtime.hpp>

#include "record/managed_heap.hpp"
#include "report/metrics/memory.hpp"

namespace gort::report {

/// `facts` with the managed heap's part in it. Throws std::bad_alloc.
runtime::mem_stats mem_stats_of(const memory_facts& facts, const record::managed_facts& heap);
/// Without stopping anything.
runtime::mem_stats current_mem_stats();

}  // namespace gort::report
