#include "os/clock.hpp"

#include <ctime>

namespace gort::os {

namespace {

std::int64_t read_ns(clockid_t clock) noexcept {
  timespec ts{};
  clock_gettime(clock, &ts);
  return ts.tv_sec * std::int64_t{1'000'000'000} + ts.tv_nsec;
}

}  // namespace

std::int64_t monotonic_ns() noexcept { return read_ns(CLOCK_MONOTONIC); }
std::int64_t coarse_monotonic_ns() noexcept { return read_ns(CLOCK_MONOTONIC_COARSE); }

}  // namespace gort::os
