/// Sleeping, timers, tickers. All times are monotonic (std::chrono::steady_clock).
#pragma once

#include <chrono>
#include <memory>
#include <utility>

#include <gort/chan.hpp>
#include <gort/detail/timed_park.hpp>
#include <gort/go.hpp>

namespace gort {

using time_point = std::chrono::steady_clock::time_point;

namespace detail {

struct timer_state;
void sleep_until_ns(std::int64_t deadline_ns) noexcept;
std::shared_ptr<timer_state> make_timer_state(std::int64_t deadline_ns, std::int64_t period_ns,
                                              void (*start)(void*), void* argument,
                                              void (*destroy)(void*));
bool timer_state_stop(timer_state& state) noexcept;
bool timer_state_reset(timer_state& state, std::int64_t deadline_ns, std::int64_t period_ns);
chan<time_point>::receiver timer_state_channel(const timer_state& state);

/// A positive duration in ns, saturated.
template <class Rep, class Period>
std::int64_t period_of(std::chrono::duration<Rep, Period> period) noexcept {
  return deadline_after(period) - now_ns();
}

}  // namespace detail

/// Blocks for at least `duration`; returns at once if it is not positive. Goroutines and plain
/// threads. Go: time.Sleep.
template <class Rep, class Period>
void sleep(std::chrono::duration<Rep, Period> duration) noexcept {
  if (duration > duration.zero()) detail::sleep_until_ns(detail::deadline_after(duration));
}
inline void sleep_until(time_point when) noexcept {
  if (when > std::chrono::steady_clock::now()) detail::sleep_until_ns(detail::deadline_at(when));
}

/// One event in the future: a time on the channel c(), or, made by after_func(), a function called
/// in a goroutine of its own. Handles share one timer, which is stopped when the last is gone; copy
/// the handle to keep it. Any thread. Go: time.Timer.
class timer {
 public:
  /// Nil: only assignment and destruction are allowed; the rest throws runtime_error.
  timer() noexcept = default;

  /// Fires `duration` from now. Go: time.NewTimer.
  template <class Rep, class Period>
  explicit timer(std::chrono::duration<Rep, Period> duration)
      : state_(detail::make_timer_state(detail::deadline_after(duration), 0, nullptr, nullptr,
                                        nullptr)) {}

  /// Where the time arrives; nil for after_func(). It holds one value at most, and none after
  /// stop() or reset() until the timer fires again.
  chan<time_point>::receiver c() const { return detail::timer_state_channel(checked()); }

  /// Disarms; true if it was armed: it had not fired. Never blocks for long: it waits for the
  /// timer's own few instructions, not for the function of after_func(). Go: Stop.
  bool stop() const { return detail::timer_state_stop(checked()); }

  /// Arms it anew; true if it was armed. Go: Reset.
  template <class Rep, class Period>
  bool reset(std::chrono::duration<Rep, Period> duration) const {
    return detail::timer_state_reset(checked(), detail::deadline_after(duration), 0);
  }

 private:
  template <class Rep, class Period, class F>
  friend timer after_func(std::chrono::duration<Rep, Period> duration, F f);

  explicit timer(std::shared_ptr<detail::timer_state> state) noexcept : state_(std::move(state)) {}
  detail::timer_state& checked() const {
    if (state_ == nullptr) detail::throw_runtime_error("gort: use of a nil timer");
    return *state_;
  }

  std::shared_ptr<detail::timer_state> state_;
};

/// Calls f in its own goroutine after `duration`, unless stopped; keep the handle as long as it is
/// to happen. f is copied for each firing (reset() may cause several). Go: time.AfterFunc.
template <class Rep, class Period, class F>
timer after_func(std::chrono::duration<Rep, Period> duration, F f) {
  auto owned = std::make_unique<F>(std::move(f));
  auto state = detail::make_timer_state(
      detail::deadline_after(duration), 0, [](void* p) { go(*static_cast<F*>(p)); }, owned.get(),
      [](void* p) { delete static_cast<F*>(p); });
  owned.release();  // the state's from here on
  return timer(std::move(state));
}

/// A channel on which the time arrives after `duration`. The timer lives until it fires. Go:
/// time.After.
chan<time_point>::receiver after_ns(std::int64_t duration_ns);
template <class Rep, class Period>
chan<time_point>::receiver after(std::chrono::duration<Rep, Period> duration) {
  return after_ns(detail::period_of(duration));
}

/// Delivers the time on c() at intervals; a tick that finds the last one not yet received is
/// dropped. Stopped when the last handle is gone. Go: time.Ticker.
class ticker {
 public:
  /// Throws runtime_error("non-positive interval for NewTicker").
  template <class Rep, class Period>
  explicit ticker(std::chrono::duration<Rep, Period> interval) {
    if (interval <= interval.zero())
      detail::throw_runtime_error("non-positive interval for NewTicker");
    state_ = detail::make_timer_state(detail::deadline_after(interval), detail::period_of(interval),
                                      nullptr, nullptr, nullptr);
  }

  chan<time_point>::receiver c() const { return detail::timer_state_channel(*state_); }
  /// No more ticks; the channel stays open. Go: Stop.
  void stop() const { detail::timer_state_stop(*state_); }
  /// A new interval from now on. Throws runtime_error("non-positive interval for Ticker.Reset").
  template <class Rep, class Period>
  void reset(std::chrono::duration<Rep, Period> interval) const {
    if (interval <= interval.zero())
      detail::throw_runtime_error("non-positive interval for Ticker.Reset");
    detail::timer_state_reset(*state_, detail::deadline_after(interval),
                              detail::period_of(interval));
  }

 private:
  std::shared_ptr<detail::timer_state> state_;
};

}  // namespace gort
