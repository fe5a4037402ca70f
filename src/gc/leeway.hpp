// What a small heap may have beyond what GOGC says, so that collecting it has a bounded share of
// the time.
//
// Problem: a heap of which little lives is collected when a few megabytes were handed out, which
// takes a program that does nothing else some dozens of microseconds. A cycle costs as much however
// little there is to mark, and the program waits for the collector's thread to wake up.
//
// So it is learned from what cycles cost: while they have more than an eighth of one CPU, the next
// goal is a mebibyte higher than the last one's; while they have less than a sixteenth, half of
// that is given up with each. It may be half of GOGC's percent, 8 MiB whatever that is and never
// more than 16; and less where that percent is much: half of what it lacks of 96 MiB.
//
// It grows slowly: who starts and makes much that lasts has nothing of it yet when most is in use.
//
// Rejected: as much as GOGC's percent from the beginning. A heap of 16 MiB that is collected once a
// second gains nothing by 16 MiB more. 16 MiB for who drops all it makes: it goes through as much
// memory before it comes by again, most of which has left the caches (objects of 1 KiB took a
// seventh longer).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace gort::managed {

class leeway {
 public:
  static constexpr std::size_t step = std::size_t{1} << 20, any = 8 * step, most = 16 * step;
  static constexpr std::size_t none_from = 96 * step;  // headroom
  static constexpr std::int64_t more_above_share = 8, less_below_share = 16;

  /// Of a cycle that was due. `cpu_ns`: of the collector's thread.
  void cycle_has_ended(std::int64_t now_ns, std::int64_t cpu_ns) noexcept {
    const std::int64_t passed_ns = now_ns - ended_ns_;
    ended_ns_ = now_ns;
    if (cpu_ns > passed_ns / more_above_share)
      learned_ = std::min(learned_ + step, most);
    else if (cpu_ns < passed_ns / less_below_share)
      learned_ = learned_ / 2 / step * step;
  }
  /// Of another one.
  void other_cycle_has_ended(std::int64_t now_ns) noexcept { ended_ns_ = now_ns; }

  /// `headroom`: GOGC's percent of what lives.
  std::size_t bytes(std::size_t headroom) const noexcept {
    const std::size_t share = std::clamp(headroom / 2, any, most);
    return std::min({learned_, share, (none_from - std::min(none_from, headroom)) / 2});
  }

 private:
  std::size_t learned_ = 0;
  std::int64_t ended_ns_ = 0;  // the last one
};

}  // namespace gort::managed
