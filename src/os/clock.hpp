// The one clock of the scheduler, and a coarse hand of it.
#pragma once

#include <cstdint>

namespace gort::os {

/// CLOCK_MONOTONIC in nanoseconds (vDSO; about 20 ns).
std::int64_t monotonic_ns() noexcept;

/// The same clock at its last tick, up to `coarse_lag_max_ns` ago (vDSO; a few ns).
std::int64_t coarse_monotonic_ns() noexcept;
constexpr std::int64_t coarse_lag_max_ns = 10'000'000;  // HZ is 100 at the least

/// CPU time that the calling thread has used (a system call).
std::int64_t own_thread_cpu_ns() noexcept;
/// That all threads of the process have used, those that have ended too (likewise).
std::int64_t process_cpu_ns() noexcept;

/// The kernel itself takes the processor's counter for its clock: it runs at one rate and is the
/// same on all processors. Reads a file.
bool ticks_are_a_clock();

}  // namespace gort::os
