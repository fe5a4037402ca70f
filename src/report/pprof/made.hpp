// The profiles of what exists, by who made it: timers, sockets.
#pragma once

#include <cstdint>

#include <gort/pprof.hpp>

#include "report/pprof/profile_data.hpp"

namespace gort::pprof {

std::int64_t timers_count();
report::profile_data collect_timers();
void write_timers_text(const sink& to, int debug);

std::int64_t sockets_count();
report::profile_data collect_sockets();
void write_sockets_text(const sink& to, int debug);

}  // namespace gort::pprof
