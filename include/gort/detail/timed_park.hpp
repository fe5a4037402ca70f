// Waiting with a deadline: a park_ticket that a timer may claim.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>

#include <gort/detail/park.hpp>
#include <gort/detail/timer_node.hpp>

namespace gort::detail {

/// Lives on the waiting G's stack. Other parties claim `ticket` with indices below `timeout_index`.
struct timed_park : timer_node {
  static constexpr std::uint32_t timeout_index = std::numeric_limits<std::uint32_t>::max() - 1;

  park_ticket ticket;
  g* owner;

  timed_park() noexcept : timer_node(&expire), owner(current_g()) {}

  /// Parks until somebody claims the ticket and calls ready(), or until `deadline_ns`. True: not
  /// timed out.
  bool wait_until(std::int64_t deadline_ns, wait_reason why) noexcept {
    if (!is_goroutine(*owner)) {
      if (park_thread_until(deadline_ns, why)) return true;
      if (ticket.claim(timeout_index)) return false;
      park(why);  // somebody was faster: its ready() is on its way
      return true;
    }
    timer_start(*this, deadline_ns);
    park(why);
    timer_stop(*this);  // after it, nobody refers to this object [timer-3]
    return ticket.winner.load_relaxed() != timeout_index + 1;  // ordered by ready() and park()
  }

 private:
  static void expire(timer_node& self, std::int64_t) {
    auto& t = static_cast<timed_park&>(self);
    g* owner = t.owner;
    if (t.ticket.claim(timeout_index)) ready(owner);
  }
};

/// A point in time as CLOCK_MONOTONIC nanoseconds; saturates.
template <class Rep, class Period>
std::int64_t deadline_after(std::chrono::duration<Rep, Period> timeout) noexcept {
  using namespace std::chrono;
  constexpr std::int64_t far = std::numeric_limits<std::int64_t>::max() / 2;
  if (timeout <= timeout.zero()) return now_ns();
  if (duration<double>(timeout) >= duration<double>(nanoseconds(far))) return far;
  const std::int64_t ns = duration_cast<nanoseconds>(timeout).count();
  const std::int64_t now = now_ns();
  return ns > far - now ? far : now + ns;
}

/// steady_clock is CLOCK_MONOTONIC on Linux.
inline std::int64_t deadline_at(std::chrono::steady_clock::time_point when) noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()).count();
}

}  // namespace gort::detail
