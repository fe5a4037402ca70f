// How far the ends of objects may fall behind: who allocates waits for them.
//
// Problem: one goroutine runs all destructors and finalizers, beside any number that allocate. What
// it has not come to is memory, found by each marking, and grows as fast as they are ahead.
//
// So, as with marking, the way to the next collection is shared out: when so much of it is gone,
// as much of what was due at the last one's end is to have been run, but for some slack. Who is
// beyond lets others go first, or sleeps, for a millisecond at most in one allocation. Where none
// has ended for a while, because one blocks, nobody waits: it would help nothing. That is soon so
// if it is parked; if it is not, it may wait for a P behind any number of others, or sleep in a
// library's call.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <gort/detail/atomic.hpp>

namespace gort::managed {

/// All relaxed: numbers, nothing else is read by them.
class endings_pace {
 public:
  static constexpr std::size_t never = ~std::size_t{0};
  static constexpr std::size_t slack_min = std::size_t{4} << 20;
  static constexpr std::int64_t parked_ns_max = 100'000'000, silent_ns_max = 10'000'000'000;

  /// Bytes of objects whose destructor or finalizer is to be run, without what these reach.
  std::size_t due() const noexcept { return due_.load_relaxed(); }
  /// Before anybody can take them.
  void add_due(std::size_t bytes) noexcept { due_.fetch_add_relaxed(bytes); }
  void is_run(std::size_t bytes) noexcept { due_.fetch_sub_relaxed(bytes); }

  /// A cycle has ended, or its lines are set anew: from `from` bytes in use to `to` what is due by
  /// now is to be run.
  void cycle_has_ended() noexcept { at_end_.store_relaxed(due()); }
  void set_way(std::size_t from, std::size_t to, std::size_t slack) noexcept {
    from_.store_relaxed(from);
    to_.store_relaxed(to);
    slack_.store_relaxed(slack);
  }

  /// A look for each span that is handed out.
  bool may_be_behind() const noexcept { return due() > slack_.load_relaxed(); }

  struct reading {
    std::size_t used = 0;    // bytes in use
    std::uint64_t runs = 0;  // of all kinds, so far
    bool is_parked = false;  // who runs them
    std::int64_t now_ns = 0;
  };
  bool is_behind(const reading& at) noexcept {
    const std::size_t slack = slack_.load_relaxed();
    const std::size_t waiting = due();
    if (waiting <= slack) return false;
    const std::size_t from = from_.load_relaxed(), to = to_.load_relaxed();
    if (at.used < to && to > from) {
      const double left =
          static_cast<double>(to - std::max(at.used, from)) / static_cast<double>(to - from);
      const auto may_wait =
          static_cast<std::size_t>(left * static_cast<double>(at_end_.load_relaxed()));
      if (waiting - slack <= may_wait) return false;
    }
    if (runs_seen_.exchange_relaxed(at.runs) != at.runs) seen_ns_.store_relaxed(at.now_ns);
    return at.now_ns - seen_ns_.load_relaxed() < (at.is_parked ? parked_ns_max : silent_ns_max);
  }

 private:
  detail::atomic<std::size_t> due_;
  detail::atomic<std::size_t> at_end_;
  detail::atomic<std::size_t> from_, to_;
  detail::atomic<std::size_t> slack_{never};
  // By who waits for them: how many have been run, and since when it is as many.
  detail::atomic<std::uint64_t> runs_seen_;
  detail::atomic<std::int64_t> seen_ns_;
};
extern endings_pace ends;  // src/gc/endings.cpp

}  // namespace gort::managed
