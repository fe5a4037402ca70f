// The one clock of the scheduler.
#pragma once

#include <cstdint>

namespace gort::os {

/// CLOCK_MONOTONIC in nanoseconds (vDSO; about 20 ns).
std::int64_t monotonic_ns() noexcept;

}  // namespace gort::os
