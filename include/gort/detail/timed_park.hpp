// Waiting with a deadline: a park_ticket that a timer may claim.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <ratio>

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

// Points in time are CLOCK_MONOTONIC nanoseconds from 1 to `never_ns`: 0 and less mean other things
// here and there, and the largest number is a heap without timers. Whatever a user passes is
// brought into that range; what is not a number counts as zero.

/// As good as never, and far enough from overflow.
inline constexpr std::int64_t never_ns = std::numeric_limits<std::int64_t>::max() / 2;

/// A count of nanoseconds that no product of a count and a unit overflows.
__extension__ using wide_ns = __int128;

/// As duration_cast, whose products overflow for units such as 1/60 s. Of floating point: within
/// the range of an int64.
template <class Rep, class Period>
constexpr wide_ns wide_ns_of(std::chrono::duration<Rep, Period> d) noexcept {
  using namespace std::chrono;
  using to_ns = std::ratio_divide<Period, std::nano>;
  if constexpr (treat_as_floating_point_v<Rep>)
    return duration_cast<nanoseconds>(d).count();
  else
    return static_cast<wide_ns>(d.count()) * to_ns::num / to_ns::den;
}

/// The same length in ns, from 0 to never_ns.
template <class Rep, class Period>
std::int64_t saturated_ns(std::chrono::duration<Rep, Period> d) noexcept {
  using namespace std::chrono;
  if (!(d > d.zero())) return 0;
  if (duration<double>(d) >= duration<double>(nanoseconds(never_ns))) return never_ns;
  return static_cast<std::int64_t>(wide_ns_of(d));
}

/// So long after now.
template <class Rep, class Period>
std::int64_t deadline_after(std::chrono::duration<Rep, Period> timeout) noexcept {
  const std::int64_t ns = saturated_ns(timeout);
  const std::int64_t now = now_ns();
  return ns > never_ns - now ? never_ns : now + ns;
}

/// steady_clock is CLOCK_MONOTONIC on Linux.
inline std::int64_t deadline_at(std::chrono::steady_clock::time_point when) noexcept {
  const std::int64_t ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()).count();
  return ns < 1 ? 1 : ns > never_ns ? never_ns : ns;
}

/// The interval of something periodic: at least 1.
template <class Rep, class Period>
std::int64_t period_of(std::chrono::duration<Rep, Period> interval) noexcept {
  const std::int64_t ns = saturated_ns(interval);
  return ns < 1 ? 1 : ns;
}

}  // namespace gort::detail
