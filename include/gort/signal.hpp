/// Being told of signals by channel, or by the end of a context. The guide: docs/signals.md. Go:
/// package os/signal.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gort/chan.hpp>
#include <gort/context.hpp>

namespace gort::signal {

// Signals go by their numbers in <csignal>: SIGINT, SIGTERM. A list without any means all that can
// be caught. Numbers that are no signals, SIGKILL and SIGSTOP do nothing, as in Go. All functions
// may be called from goroutines and plain threads; they block the caller only for each other, and
// start the runtime.

/// From now on each of these signals that comes is sent to the channel, and does nothing else. The
/// send does not wait: if the buffer is full, or nobody waits for an unbuffered channel, that one
/// is lost; several of one kind may arrive as one. So make a channel with room for one at least.
/// More signals may be added for one channel, and a signal goes to every channel that wants it.
/// SIGINT or SIGHUP that was ignored when the process began (nohup) is told of too, and ignored
/// again afterwards. The channel must not be closed before stop(): a signal would
/// end the program. Throws runtime_error("os/signal:
/// Notify using nil channel"), std::system_error if a thread cannot be had. Go: signal.Notify.
void notify(const chan<int>::sender& to, std::span<const int> signals);
template <std::same_as<int>... N>
void notify(const chan<int>::sender& to, N... signals) {
  const std::array<int, sizeof...(N)> all{signals...};
  notify(to, std::span<const int>(all));
}

/// Nothing more is sent to the channel when this returns; what came before has been. Signals that
/// no channel wants do again what they did before notify(). Go: signal.Stop.
void stop(const chan<int>::sender& to);

/// No channel is told of these signals any more, and nothing happens when they come. Programs that
/// are started inherit that. Go: signal.Ignore.
void ignore(std::span<const int> signals);
template <std::same_as<int>... N>
void ignore(N... signals) {
  const std::array<int, sizeof...(N)> all{signals...};
  ignore(std::span<const int>(all));
}

/// Undoes notify() for all channels, and ignore(): the signals do what they did before. Go:
/// signal.Reset.
void reset(std::span<const int> signals);
template <std::same_as<int>... N>
void reset(N... signals) {
  const std::array<int, sizeof...(N)> all{signals...};
  reset(std::span<const int>(all));
}

/// Whether the signal is ignored now, by whomever. Go: signal.Ignored.
bool ignored(int signal) noexcept;

/// The cause of a context that notify_context() has made and a signal has ended.
class received : public std::exception {
 public:
  explicit received(int signal);
  int number() const noexcept { return number_; }
  /// "interrupt signal received".
  const char* what() const noexcept override { return text_->c_str(); }

 private:
  int number_;
  std::shared_ptr<const std::string> text_;
};

/// Ends the watch of notify_context() when called or destroyed; later calls do nothing. Movable.
class stop_function {
 public:
  struct state;
  stop_function() noexcept = default;
  explicit stop_function(std::shared_ptr<state> s) noexcept : state_(std::move(s)) {}
  stop_function(stop_function&&) noexcept = default;
  stop_function& operator=(stop_function&& other) noexcept {
    if (this != &other) {
      (*this)();
      state_ = std::move(other.state_);
    }
    return *this;
  }
  ~stop_function() { (*this)(); }

  /// As stop(): the signals do again what they did before. Cancels the context.
  void operator()() noexcept;

 private:
  friend struct watched_context;
  std::shared_ptr<state> state_;
};

/// If only the context is taken out of the temporary, as in `auto ctx = notify_context(...).ctx;`,
/// the watch goes on, as in Go when the stop function is dropped: until a signal or the parent ends
/// the context, and the signals have no other effect for as long as the program runs. (The rule is
/// that of gort::cancelable_context.)
struct [[nodiscard("what is dropped is stopped at once")]] watched_context {
  watched_context(context c, stop_function f) noexcept : ctx(std::move(c)), stop(std::move(f)) {}
  watched_context(watched_context && other) noexcept = default;
  watched_context& operator=(watched_context&& other) noexcept = default;
  ~watched_context() {
    if (ctx.node() == nullptr && !bound_) stop.state_.reset();
  }

  context ctx;
  stop_function stop;

  // For structured bindings, which so make themselves known.
  template <std::size_t i, class Self>
  static auto& part(Self & self) noexcept {
    self.bound_ = true;
    if constexpr (i == 0)
      return self.ctx;
    else
      return self.stop;
  }

 private:
  mutable bool bound_ = false;
};
template <std::size_t i>
auto& get(watched_context& c) noexcept {
  return watched_context::part<i>(c);
}
template <std::size_t i>
auto& get(const watched_context& c) noexcept {
  return watched_context::part<i>(c);
}
template <std::size_t i>
auto&& get(watched_context&& c) noexcept {
  return std::move(watched_context::part<i>(c));
}
template <std::size_t i>
auto&& get(const watched_context&& c) noexcept {
  return std::move(watched_context::part<i>(c));
}

/// A child that is cancelled when one of the signals comes (context::cause() is then a `received`),
/// with its parent, or by the function. Until that is called the signals have no other effect, so
/// call it when the context is done, and a second Ctrl-C ends the program:
/// `auto [ctx, stop] = gort::signal::notify_context(gort::background(), SIGINT, SIGTERM);`.
/// Throws what notify() throws. Go: signal.NotifyContext.
watched_context notify_context(context parent, std::span<const int> signals);
template <std::same_as<int>... N>
watched_context notify_context(context parent, N... signals) {
  const std::array<int, sizeof...(N)> all{signals...};
  return notify_context(std::move(parent), std::span<const int>(all));
}

}  // namespace gort::signal

template <>
struct std::tuple_size<gort::signal::watched_context> : std::integral_constant<std::size_t, 2> {};
template <>
struct std::tuple_element<0, gort::signal::watched_context> {
  using type = gort::context;
};
template <>
struct std::tuple_element<1, gort::signal::watched_context> {
  using type = gort::signal::stop_function;
};
