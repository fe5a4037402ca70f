// The block and the mutex profile (record/contention.hpp), for readers.
#pragma once

#include <cstdint>

#include <gort/pprof.hpp>

#include "report/pprof/profile_data.hpp"

namespace gort::pprof {

/// Stacks that something was recorded for.
std::int64_t block_count();
report::profile_data collect_block();
/// Returns the previous one.
int set_block_rate(int rate_ns);
void write_block_text(const sink& to, int debug);

std::int64_t mutex_count();
report::profile_data collect_mutex();
void write_mutex_text(const sink& to, int debug);

std::int64_t lock_wait_count();
report::profile_data collect_lock_waits();
void write_lock_wait_text(const sink& to, int debug);

}  // namespace gort::pprof
