// runtime::mem_stats out of the classes of memory.
#pragma once

#include <gort/runtime.hpp>

#include "report/metrics/memory.hpp"

namespace gort::report {

runtime::mem_stats mem_stats_of(const memory_facts& facts) noexcept;

}  // namespace gort::report
