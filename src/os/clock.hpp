// The one clock of the scheduler, and a coarse hand of it.
#pragma once

#include <cstdint>

namespace gort::os {

/// CLOCK_MONOTONIC in nanoseconds (vDSO; about 20 ns).
std::int64_t monotonic_ns() noexcept;

/// The same clock at its last tick, up to `coarse_lag_max_ns` ago (vDSO; a few ns).
std::int64_t coarse_monotonic_ns() noexcept;
constexpr std::int64_t coarse_lag_max_ns = 10'000'000;  // HZ is 100 at the least

}  // namespace gort::os
