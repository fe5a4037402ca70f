// When a heap is collected that nobody needs collected: one that has gone quiet with garbage in it.
//
// Problem: a burst leaves what is dead behind, below the goal. As long as nobody allocates nothing
// is due, and the machine does without that memory.
//
// So a heap is *watched* while an eighth more is in use than the last marking has found, or the
// last one that was made in quiet (a busy heap's finds what is about to die), 4 MiB at least. What
// was found and waited for its end is more, too. The heap is *quiet* when in a second less than a
// 128th of what is in use was handed out: the goal is minutes away. Then it is collected, and free
// pages go back at once.
//
// Such collections, and giving back what they free, have at most a hundredth of one CPU: none comes
// before a hundred times of what the last one has cost.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace gort::managed {

class quiet_watch {
 public:
  static constexpr std::int64_t period_ns = 1'000'000'000;
  static constexpr std::int64_t rest_share = 100;

  /// From so much on that is in use it is worth while. quiet_found: by the last one made in quiet.
  static constexpr std::size_t worth_from(std::size_t found, std::size_t quiet_found) noexcept {
    constexpr std::size_t least = std::size_t{4} << 20;
    const std::size_t base = std::min(found, quiet_found);
    return base + std::max(base / 8, least);
  }

  struct reading {
    std::int64_t now_ns = 0;
    std::size_t found = 0;
    std::size_t quiet_found = 0;
    std::size_t handed_out = 0;  // since the last marking
    std::size_t ended = 0;       // found only because their end was due
  };
  struct verdict {
    bool collect = false;
    std::int64_t again_ns = -1;  // else: when to look again; -1: when it is worth while
  };

  verdict look(const reading& at) noexcept {
    const std::size_t in_use = at.found + at.handed_out;
    if (in_use + at.ended < worth_from(at.found, at.quiet_found)) {
      watching_ = false;
      return {};
    }
    const std::int64_t passed_ns = at.now_ns - since_ns_;
    if (watching_ && at.handed_out >= handed_out_) {
      if (passed_ns < period_ns) return {false, since_ns_ + period_ns};
      const std::size_t trickle = in_use / 128;
      const auto periods = static_cast<std::size_t>(passed_ns / period_ns);
      if (at.handed_out - handed_out_ <= trickle * periods) {
        if (at.now_ns >= not_before_ns_) return {true, -1};
        return {false, not_before_ns_};
      }
    }
    watching_ = true;
    since_ns_ = at.now_ns;
    handed_out_ = at.handed_out;
    return {false, at.now_ns + period_ns};
  }

  /// It was, or pages that were free then have gone back, and that took so much CPU time.
  void charge(std::int64_t now_ns, std::int64_t cpu_ns) noexcept {
    watching_ = false;
    not_before_ns_ = std::max(not_before_ns_, now_ns) + rest_share * cpu_ns;
  }

 private:
  bool watching_ = false;
  std::int64_t since_ns_ = 0;
  std::size_t handed_out_ = 0;  // then
  std::int64_t not_before_ns_ = 0;
};

}  // namespace gort::managed
