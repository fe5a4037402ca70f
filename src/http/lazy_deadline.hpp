// Deadlines that cost nothing while all goes well.
#pragma once

#include <chrono>

#include <gort/http/stream.hpp>

namespace gort::http {

/// One direction's deadline of a stream. "Within d" arms it a quarter late and then leaves it
/// alone as long as that is not too early: a busy connection sets its timer once per d/4 instead
/// of once per request.
class lazy_deadline {
 public:
  using setter = void (stream::*)(stream::time_point);
  using duration = std::chrono::nanoseconds;

  lazy_deadline(stream& s, setter set) noexcept : stream_(s), set_(set) {}

  /// Between d and 1.25 d from now; d = 0: never.
  void within(duration d, stream::time_point now) {
    if (d == duration::zero()) return exactly({});
    const stream::time_point earliest = now + d;
    const stream::time_point latest = earliest + d / 4;
    if (armed_ == stream::time_point{} || armed_ < earliest || armed_ > latest) exactly(latest);
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
