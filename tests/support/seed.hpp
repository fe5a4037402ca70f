// Randomness and duration of a test, from outside: GORT_SEED=n repeats a run's random choices,
// GORT_STRESS_SECONDS=n (make stress) lengthens it.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>

namespace gort::test {

/// The seed of this process: GORT_SEED, else a fresh one. Printed, so that a red run can be had
/// again; ctest shows the output of what fails.
inline std::uint64_t seed() {
  static const std::uint64_t value = [] {
    const char* given = std::getenv("GORT_SEED");
    const std::uint64_t chosen =
        given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device()();
    std::cout << "GORT_SEED=" << chosen << '\n' << std::flush;
    return chosen;
  }();
  return value;
}

/// How long a stress test goes on for each number of Ps: `otherwise` under `make test`.
inline double stress_seconds(double otherwise) {
  const char* given = std::getenv("GORT_STRESS_SECONDS");
  return given != nullptr ? std::strtod(given, nullptr) : otherwise;
}

}  // namespace gort::test
