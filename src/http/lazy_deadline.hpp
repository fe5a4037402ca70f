// Deadlines that cost nothing while all goes well.
#pragma once

#include <algorithm>
#include <chrono>

#include <gort/http/stream.hpp>

#include "os/clock.hpp"

namespace gort::http {

/// What a longer time counts as: far from overflow, also when some of it are added.
inline constexpr std::chrono::nanoseconds longest_wait = std::chrono::hours(24 * 365 * 50);

/// One direction's deadline of a stream. "Within d" arms it a quarter late and then leaves it
/// alone as long as that is not too early: a busy connection sets its timer once per d/4 instead
/// of once per request, and else reads the coarse clock only.
class lazy_deadline {
 public:
  using setter = void (stream::*)(stream::time_point);
  using duration = std::chrono::nanoseconds;

  lazy_deadline(stream& s, setter set) noexcept : stream_(s), set_(set) {}

  /// Between d and 1.25 d from now (and the coarse clock's lag); d = 0: never.
  void within(duration d) {
    if (d == duration::zero()) return exactly({});
    d = std::clamp(d, -longest_wait, longest_wait);
    constexpr duration lag_max(os::coarse_lag_max_ns);
    const stream::time_point about_now{duration(os::coarse_monotonic_ns())};
    const bool is_set = armed_ != stream::time_point{};
    if (is_set && armed_ >= about_now + lag_max + d && armed_ <= about_now + lag_max + d + d / 4)
      return;
    exactly(std::chrono::steady_clock::now() + d + d / 4);
  }

  void exactly(stream::time_point when) {
    if (armed_ == when) return;
    armed_ = when;
    (stream_.*set_)(when);
  }

 private:
  stream& stream_;
  setter set_;
  stream::time_point armed_{};  // what the stream has
};

}  // namespace gort::http
