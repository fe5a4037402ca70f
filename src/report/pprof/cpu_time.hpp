// The profile of CPU time that was accounted for.
#pragma once

#include <cstdint>

#include <gort/pprof.hpp>

#include "report/pprof/profile_data.hpp"

namespace gort::pprof {

std::int64_t cpu_time_count();
report::profile_data collect_cpu_time();

}  // namespace gort::pprof
