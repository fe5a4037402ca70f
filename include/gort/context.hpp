/// Cancellation, deadlines and request-scoped values that travel down a call tree.
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gort/chan.hpp>
#include <gort/detail/callable.hpp>
#include <gort/detail/timed_park.hpp>

namespace gort {

/// Why a context is done: error codes of the category "context", with Go's texts.
enum class context_error { canceled = 1, deadline_exceeded = 2 };
std::error_code make_error_code(context_error e) noexcept;

class cancel_function;
template <class T>
class context_key;

namespace detail {
struct context_node;
struct cancel_hook;
using context_ref = std::shared_ptr<context_node>;
}  // namespace detail

class context;
context make_context_of(detail::context_ref node) noexcept;

/// A handle, cheap to copy; all members may be called from anywhere at any time. Go:
/// context.Context.
class context {
 public:
  /// The background context: never cancelled, no deadline, no values.
  context() noexcept = default;

  /// Closed when the context is cancelled; nil if it never can be. Go: Done.
  chan<unit>::receiver done() const;
  /// Not set until done() is closed; then canceled or deadline_exceeded. Go: Err.
  std::error_code err() const noexcept;
  /// What cancel(cause) or with_deadline_cause() was given, else err() as a std::system_error; null
  /// until cancelled. Go: context.Cause.
  std::exception_ptr cause() const;
  /// The time at which it will be cancelled, if there is one. Go: Deadline.
  std::optional<std::chrono::steady_clock::time_point> deadline() const noexcept;
  /// The value set for the key by the nearest with_value(), or null. Go: Value.
  template <class T>
  const T* value(const context_key<T>& key) const noexcept {
    return static_cast<const T*>(value_of(&key));
  }

  // For the library's own waits.
  const detail::context_ref& node() const noexcept { return node_; }

 private:
  friend class cancel_function;
  friend struct detail::context_node;
  friend context make_context_of(detail::context_ref node) noexcept;
  const void* value_of(const void* key) const noexcept;

  detail::context_ref node_;  // null: background
};

/// Identity of a value in contexts: make one static object per value. It names the type.
template <class T>
class context_key {
 public:
  context_key() noexcept = default;
  context_key(const context_key&) = delete;
  context_key& operator=(const context_key&) = delete;
};

/// Cancels its context when called or destroyed; later calls do nothing. Movable. Go: CancelFunc
/// and CancelCauseFunc, with the `defer cancel()` built in.
class cancel_function {
 public:
  cancel_function() noexcept = default;
  explicit cancel_function(detail::context_ref node) noexcept : node_(std::move(node)) {}
  cancel_function(cancel_function&&) noexcept = default;
  cancel_function& operator=(cancel_function&& other) noexcept {
    if (this != &other) {
      (*this)();
      node_ = std::move(other.node_);
    }
    return *this;
  }
  ~cancel_function() { (*this)(); }

  /// When it returns, the context and all below it are cancelled, or another call is about it.
  /// Never blocks for long. Any thread.
  void operator()() const { (*this)(std::exception_ptr()); }
  /// With a cause, which context::cause() returns.
  void operator()(std::exception_ptr cause) const;
  /// With an error as the cause.
  template <class E>
  requires std::is_base_of_v<std::exception, E>
  void operator()(const E& cause) const { (*this)(std::make_exception_ptr(cause)); }

 private:
  friend struct cancelable_context;
  detail::context_ref node_;
};

/// The root: context.Background.
inline context background() noexcept { return {}; }

/// What with_cancel() and its like return: `auto [ctx, cancel] = gort::with_timeout(parent, 1s);`.
/// At the end of the scope of `cancel` the context is cancelled: `defer cancel()` is built in.
///
/// If only the context is taken out of the temporary, it lives on, as in Go when the CancelFunc is
/// dropped: `auto ctx = gort::with_timeout(parent, 1s).ctx;` is cancelled by its time, by its
/// parent, or when its last handle goes, and nobody can cancel it sooner. (So it is whenever `ctx`
/// is moved out of an object of this type. Moving from a name in a structured binding does not
/// count: the binding cancels.) Functions that make something of a context that outlives their call
/// take it by value, so that it is moved there: `with_value(with_timeout(parent, 1s).ctx, key, v)`.
struct [[nodiscard("what is dropped is cancelled at once")]] cancelable_context {
  cancelable_context(context c, cancel_function f) noexcept
      : ctx(std::move(c)), cancel(std::move(f)) {}
  cancelable_context(cancelable_context&& other) noexcept = default;
  cancelable_context& operator=(cancelable_context&& other) noexcept = default;
  ~cancelable_context() {
    if (ctx.node() == nullptr && !bound_) cancel.node_.reset();
  }

  context ctx;
  cancel_function cancel;

  // For structured bindings, which so make themselves known.
  template <std::size_t i, class Self>
  static auto& part(Self& self) noexcept {
    self.bound_ = true;
    if constexpr (i == 0)
      return self.ctx;
    else
      return self.cancel;
  }

 private:
  mutable bool bound_ = false;
};
template <std::size_t i>
auto& get(cancelable_context& c) noexcept {
  return cancelable_context::part<i>(c);
}
template <std::size_t i>
auto& get(const cancelable_context& c) noexcept {
  return cancelable_context::part<i>(c);
}
template <std::size_t i>
auto&& get(cancelable_context&& c) noexcept {
  return std::move(cancelable_context::part<i>(c));
}
template <std::size_t i>
auto&& get(const cancelable_context&& c) noexcept {
  return std::move(cancelable_context::part<i>(c));
}

/// A child that is cancelled with its parent or by the function. Go: context.WithCancel,
/// WithCancelCause.
cancelable_context with_cancel(context parent);

/// The same, also cancelled at a time; at once if that has passed. Go: context.WithDeadline.
cancelable_context with_deadline(context parent, std::chrono::steady_clock::time_point when);

/// The same; if it is the time that cancels, then with this cause. Go: context.WithDeadlineCause.
cancelable_context with_deadline_cause(context parent, std::chrono::steady_clock::time_point when,
                                       std::exception_ptr cause);
template <class E>
  requires std::is_base_of_v<std::exception, E>
cancelable_context with_deadline_cause(context parent, std::chrono::steady_clock::time_point when,
                                       const E& cause) {
  return with_deadline_cause(std::move(parent), when, std::make_exception_ptr(cause));
}

namespace detail {
template <class Rep, class Period>
std::chrono::steady_clock::time_point time_after(std::chrono::duration<Rep, Period> d) noexcept {
  using clock = std::chrono::steady_clock;
  const std::chrono::nanoseconds at(deadline_after(d));
  return clock::time_point(std::chrono::duration_cast<clock::duration>(at));
}
}  // namespace detail

/// The same as with_deadline(), after a duration. Go: context.WithTimeout.
template <class Rep, class Period>
cancelable_context with_timeout(context parent, std::chrono::duration<Rep, Period> timeout) {
  return with_deadline(std::move(parent), detail::time_after(timeout));
}

/// Go: context.WithTimeoutCause.
template <class Rep, class Period, class Cause>
cancelable_context with_timeout_cause(context parent, std::chrono::duration<Rep, Period> timeout,
                                      const Cause& cause) {
  return with_deadline_cause(std::move(parent), detail::time_after(timeout), cause);
}

namespace detail {
context with_value_erased(context parent, const void* key, std::shared_ptr<const void> value);
std::shared_ptr<cancel_hook> after_func_erased(context ctx, void (*start)(void*),
                                               std::shared_ptr<void> f);
bool stop_after_func(cancel_hook& hook) noexcept;
bool stop_and_wait_after_func(cancel_hook& hook) noexcept;
}  // namespace detail

/// A child that answers `value` for the key. Go: context.WithValue.
template <class T>
context with_value(context parent, const context_key<T>& key, T value) {
  return detail::with_value_erased(std::move(parent), &key,
                                   std::make_shared<const T>(std::move(value)));
}

/// A child with the parent's values that is not cancelled when the parent is. Go:
/// context.WithoutCancel.
context without_cancel(const context& parent);

/// Returned by after_func(). Dropping it changes nothing, as in Go: the function is called when the
/// context is cancelled. Goroutines and plain threads.
class after_func_stop {
 public:
  explicit after_func_stop(std::shared_ptr<detail::cancel_hook> hook) noexcept
      : hook_(std::move(hook)) {}
  /// True if the function had not been started, and now never will be. Never blocks for long.
  bool operator()() const noexcept { return hook_ != nullptr && detail::stop_after_func(*hook_); }

  /// The same; but if it has been started, blocks until it has returned: what it refers to may be
  /// destroyed then. Not from within the function: it would wait for itself. Go has no such.
  bool stop_and_wait() const noexcept {
    return hook_ != nullptr && detail::stop_and_wait_after_func(*hook_);
  }

 private:
  std::shared_ptr<detail::cancel_hook> hook_;
};

/// Calls f in a goroutine of its own when ctx is cancelled (at once if it is). f lives until it has
/// been called or stopped, and keeps ctx alive as long. Throws runtime_error for a null pointer or
/// an empty std::function. Go: context.AfterFunc.
template <class F>
after_func_stop after_func(context ctx, F f) {
  detail::require_callable(f, "context: AfterFunc of a nil function");
  return after_func_stop(detail::after_func_erased(
      std::move(ctx), [](void* p) { (*static_cast<F*>(p))(); }, std::make_shared<F>(std::move(f))));
}

}  // namespace gort

template <>
struct std::is_error_code_enum<gort::context_error> : std::true_type {};
template <>
struct std::tuple_size<gort::cancelable_context> : std::integral_constant<std::size_t, 2> {};
template <>
struct std::tuple_element<0, gort::cancelable_context> {
  using type = gort::context;
};
template <>
struct std::tuple_element<1, gort::cancelable_context> {
  using type = gort::cancel_function;
};
