/// Sleeping, timers, tickers. All times are monotonic (std::chrono::steady_clock).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include <gort/chan.hpp>
#include <gort/detail/timed_park.hpp>
#include <gort/go.hpp>
#include <gort/wait_group.hpp>

namespace gort {

using time_point = std::chrono::steady_clock::time_point;

namespace detail {

// What a timer calls, in a goroutine of its own each time.
struct timer_function {
  timer_function() = default;
  timer_function(const timer_function&) = delete;
  timer_function& operator=(const timer_function&) = delete;
  virtual ~timer_function() = default;
  virtual void call() = 0;

  wait_group running;
};

template <class F>
struct timer_function_of final : timer_function {
  F f;
  explicit timer_function_of(F&& from) : f(std::move(from)) {}
  void call() override {
    if constexpr (std::is_copy_constructible_v<F>) {
      F own(f);
      own();
    } else {
      f();
    }
  }
};

struct timer_state;
void sleep_until_ns(std::int64_t deadline_ns) noexcept;
std::shared_ptr<timer_state> make_timer_state(std::int64_t deadline_ns, std::int64_t period_ns,
                                              std::shared_ptr<timer_function> f = nullptr);
bool timer_state_stop(timer_state& state) noexcept;
bool timer_state_stop_and_wait(timer_state& state) noexcept;
bool timer_state_reset(timer_state& state, std::int64_t deadline_ns, std::int64_t period_ns);
chan<time_point>::receiver timer_state_channel(const timer_state& state);
chan<time_point>::receiver after_at(std::int64_t deadline_ns);

}  // namespace detail

// Durations here and elsewhere in gort: what is not positive has passed already; what is longer
// than 146 years lasts so long. A point in time before the clock's epoch is in the past like any
// other.

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
/// in a goroutine of its own. Handles share one timer. **When the last handle goes, the timer is
/// stopped**, unlike Go's, as stop() does it: a function that has been started runs on. Copy the
/// handle to keep it. Any thread. Go: time.Timer.
class timer {
 public:
  /// Nil: only assignment and destruction are allowed; the rest throws runtime_error.
  timer() noexcept = default;

  /// Fires `duration` from now. Go: time.NewTimer.
  template <class Rep, class Period>
  [[nodiscard("the timer stops when its last handle goes")]] explicit timer(
      std::chrono::duration<Rep, Period> duration)
      : state_(detail::make_timer_state(detail::deadline_after(duration), 0)) {}

  /// Where the time arrives; nil for after_func(). As Go's since 1.23 it has length and capacity 0,
  /// though the time waits in it for who receives it; and holds none after stop() or reset(), until
  /// the timer fires again.
  chan<time_point>::receiver c() const& { return detail::timer_state_channel(checked()); }
  /// Nothing would come: the timer stops with the temporary. See gort::after().
  void c() const&& = delete;

  /// Disarms; true if that was in time: nobody has received, or will receive, the time that it was
  /// armed for, or the function has not been started and will not be. Never blocks for long: it
  /// waits for the timer's own few instructions, not for the function. Go: Stop.
  bool stop() const { return detail::timer_state_stop(checked()); }

  /// stop(), then blocks until all calls of the function that have been started have returned:
  /// what it refers to may be destroyed then, if nobody calls reset(). Not from within the
  /// function: it would wait for itself. Go has no such.
  bool stop_and_wait() const { return detail::timer_state_stop_and_wait(checked()); }

  /// Arms it anew; true if stop() would have returned that. Go: Reset.
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

/// Calls f in a goroutine of its own after `duration`, unless stopped before, which happens **when
/// the last copy of the handle goes**: keep it as long as the call is wanted. What is to go on
/// without a handle: `go([=] { gort::sleep(d); f(); })`. reset() may cause several calls, also at
/// the same time: each calls a copy of f, made in its goroutine; f itself, if it cannot be copied.
/// Throws runtime_error for a null pointer or an empty std::function. Go: time.AfterFunc.
template <class Rep, class Period, class F>
[[nodiscard("the timer stops when its last handle goes")]] timer after_func(
    std::chrono::duration<Rep, Period> duration, F f) {
  detail::require_callable(f, "time: AfterFunc of a nil function");
  return timer(
      detail::make_timer_state(detail::deadline_after(duration), 0,
                               std::make_shared<detail::timer_function_of<F>>(std::move(f))));
}

/// A channel on which the time arrives after `duration`. The timer lives until it fires. Go:
/// time.After.
template <class Rep, class Period>
[[nodiscard]] chan<time_point>::receiver after(std::chrono::duration<Rep, Period> duration) {
  return detail::after_at(detail::deadline_after(duration));
}

/// Delivers the time on c() at intervals; a tick that finds the last one not yet received is
/// dropped. Stopped when the last handle is gone. One that was moved from throws runtime_error. Go:
/// time.Ticker.
class ticker {
 public:
  /// Throws runtime_error("non-positive interval for NewTicker").
  template <class Rep, class Period>
  [[nodiscard("the ticker stops when its last handle goes")]] explicit ticker(
      std::chrono::duration<Rep, Period> interval) {
    if (!(interval > interval.zero()))
      detail::throw_runtime_error("non-positive interval for NewTicker");
    state_ =
        detail::make_timer_state(detail::deadline_after(interval), detail::period_of(interval));
  }

  /// Of length and capacity 0, as a timer's.
  chan<time_point>::receiver c() const& { return detail::timer_state_channel(checked()); }
  /// Nothing would come: the ticker stops with the temporary. Give it a name.
  void c() const&& = delete;
  /// No more ticks; the channel stays open. Go: Stop.
  void stop() const { detail::timer_state_stop(checked()); }
  /// A new interval from now on. Throws runtime_error("non-positive interval for Ticker.Reset").
  template <class Rep, class Period>
  void reset(std::chrono::duration<Rep, Period> interval) const {
    if (!(interval > interval.zero()))
      detail::throw_runtime_error("non-positive interval for Ticker.Reset");
    detail::timer_state_reset(checked(), detail::deadline_after(interval),
                              detail::period_of(interval));
  }

 private:
  detail::timer_state& checked() const {
    if (state_ == nullptr) detail::throw_runtime_error("gort: use of a ticker that was moved from");
    return *state_;
  }

  std::shared_ptr<detail::timer_state> state_;
};

}  // namespace gort
