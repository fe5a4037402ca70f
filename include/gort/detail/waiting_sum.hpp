// How long those who wait for a lock have waited, together: for the mutex profile.
#pragma once

#include <cstdint>

namespace gort::detail {

/// Guarded by the lock's own spin lock. Counts those that came while the profile was on.
struct waiting_sum {
  std::int64_t since_ns = 0;  // the sum of when each began to wait, or was charged for last
  std::uint32_t count = 0;

  void arrive(std::int64_t now_ns) noexcept {
    since_ns += now_ns;
    ++count;
  }
  /// What all have waited until now, which then counts as their beginning.
  std::int64_t charge(std::int64_t now_ns) noexcept {
    const std::int64_t all_ns = std::int64_t{count} * now_ns - since_ns;
    since_ns += all_ns;
    return all_ns;
  }
  /// One waits no more. It takes the average with it: exact right after charge().
  void leave() noexcept {
    since_ns -= since_ns / count;
    if (--count == 0) since_ns = 0;
  }
};

}  // namespace gort::detail
