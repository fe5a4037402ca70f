// Channel operations with a deadline.
//
// Invariants
//   [chan-timed-1] The wait has two possible ends, the channel and the timer; the ticket decides.
//                  An element is passed only by who has won it, so a timeout that races with a
//                  send loses nothing.
//   [chan-timed-2] timed_park::wait_until() returns only when the timer is done with this frame.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include <gort/detail/chan_core.hpp>
#include <gort/detail/timed_park.hpp>

namespace gort::detail {

/// A point in time of any clock as CLOCK_MONOTONIC nanoseconds; saturates.
template <class Clock, class Duration>
std::int64_t deadline_at_any(std::chrono::time_point<Clock, Duration> when) {
  // In doubles first: the difference need not fit into the clock's numbers. Nor need a common unit:
  // of 1/90000 s and nanoseconds it is a ninth of a nanosecond.
  using seconds = std::chrono::duration<double>;
  constexpr seconds longest{4e9};  // beyond any program's life
  const auto now = Clock::now();
  const seconds ahead = seconds(when.time_since_epoch()) - seconds(now.time_since_epoch());
  if (ahead > longest) return deadline_after(longest);
  if (!(ahead > seconds(-1))) return now_ns();
  if constexpr (std::chrono::treat_as_floating_point_v<typename Duration::rep>)
    return deadline_after(when - now);
  const wide_ns left = wide_ns_of(when.time_since_epoch()) - wide_ns_of(now.time_since_epoch());
  return deadline_after(std::chrono::nanoseconds(static_cast<std::int64_t>(left)));
}

/// One wait in the line of a channel; `place` is in it, and the lock is not held.
inline bool timed_wait(chan_core& channel, waiter& place, timed_park& timed, bool sends,
                       std::int64_t deadline_ns) noexcept {
  if (timed.wait_until(deadline_ns, sends ? wait_reason::chan_send : wait_reason::chan_receive))
    return true;
  spin_guard guard(channel.lock());
  channel.leave_line_locked(place, sends);
  return false;
}

/// `slot`: the T to send, or the empty optional to receive into. not_ready: the deadline has
/// passed, and `slot` is as it was.
template <bool sends, class T, class Slot>
attempt pass_by(chan_body<T>& channel, Slot& slot, std::int64_t deadline_ns) {
  for (;;) {
    // Before the attempt, of which there is at least one.
    const bool late = now_ns() >= deadline_ns;
    timed_park timed;
    g* wake = nullptr;
    unlockable_guard guard(channel.lock());
    attempt result;
    if constexpr (sends)
      result = channel.send_locked(slot, wake);
    else
      result = channel.recv_locked(slot, wake);
    if (result != attempt::not_ready || late) {
      guard.unlock();
      if (wake != nullptr) ready(wake);
      return result;
    }
    waiter w;
    w.owner = timed.owner;
    w.ticket = &timed.ticket;
    w.slot = std::addressof(slot);
    channel.line_up_locked(w, sends);
    guard.unlock();
    if (!timed_wait(channel, w, timed, sends, deadline_ns)) return attempt::not_ready;
    if (!w.retry) return w.success ? attempt::done : attempt::closed;
  }
}

template <class T>
attempt send_by(chan_body<T>& channel, T& value, std::int64_t deadline_ns) {
  return pass_by<true>(channel, value, deadline_ns);
}

template <class T>
attempt recv_by(chan_body<T>& channel, std::optional<T>& into, std::int64_t deadline_ns) {
  return pass_by<false>(channel, into, deadline_ns);
}

/// The same for a nil channel: only time can end the wait.
inline void wait_for_nothing(wait_reason why, std::int64_t deadline_ns) noexcept {
  timed_park nobody;
  if (now_ns() < deadline_ns) nobody.wait_until(deadline_ns, why);
}

}  // namespace gort::detail
