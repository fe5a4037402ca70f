/// Cancellation, deadlines and request-scoped values that travel down a call tree.
#pragma once

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

#include <gort/chan.hpp>
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
  /// Not set until the context is cancelled; then canceled or deadline_exceeded. Go: Err.
  std::error_code err() const noexcept;
  /// What cancel(cause) was given, else err() as a std::system_error; null until cancelled. Go:
  /// context.Cause.
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

  /// Never blocks. Any thread.
  void operator()() const { (*this)(std::exception_ptr()); }
  /// With a cause, which context::cause() returns.
  void operator()(std::exception_ptr cause) const;
  /// With an error as the cause.
  template <class E>
  requires std::is_base_of_v<std::exception, E>
  void operator()(const E& cause) const { (*this)(std::make_exception_ptr(cause)); }

 private:
  detail::context_ref node_;
};

/// The root: context.Background.
inline context background() noexcept { return {}; }

struct cancelable_context {
  context ctx;
  cancel_function cancel;
};

/// A child that is cancelled with its parent or by the function:
/// `auto [ctx, cancel] = gort::with_cancel(parent);`. Go: context.WithCancel, WithCancelCause.
cancelable_context with_cancel(const context& parent);

/// The same, also cancelled at a time. Go: context.WithDeadline.
cancelable_context with_deadline(const context& parent, std::chrono::steady_clock::time_point when);

/// The same, also cancelled after a duration. Go: context.WithTimeout.
template <class Rep, class Period>
cancelable_context with_timeout(const context& parent, std::chrono::duration<Rep, Period> timeout) {
  using clock = std::chrono::steady_clock;
  const std::chrono::nanoseconds at(detail::deadline_after(timeout));
  return with_deadline(parent, clock::time_point(std::chrono::duration_cast<clock::duration>(at)));
}

namespace detail {
context with_value_erased(const context& parent, const void* key,
                          std::shared_ptr<const void> value);
std::shared_ptr<cancel_hook> after_func_erased(const context& ctx, void (*start)(void*),
                                               std::shared_ptr<void> f);
bool stop_after_func(cancel_hook& hook) noexcept;
}  // namespace detail

/// A child that answers `value` for the key. Go: context.WithValue.
template <class T>
context with_value(const context& parent, const context_key<T>& key, T value) {
  return detail::with_value_erased(parent, &key, std::make_shared<const T>(std::move(value)));
}

/// A child with the parent's values that is not cancelled when the parent is. Go:
/// context.WithoutCancel.
context without_cancel(const context& parent);

/// Returned by after_func(): true if the function had not been started and now never will be.
class after_func_stop {
 public:
  explicit after_func_stop(std::shared_ptr<detail::cancel_hook> hook) noexcept
      : hook_(std::move(hook)) {}
  bool operator()() const noexcept { return hook_ != nullptr && detail::stop_after_func(*hook_); }

 private:
  std::shared_ptr<detail::cancel_hook> hook_;
};

/// Calls f in a goroutine of its own when ctx is cancelled (at once if it is). Go:
/// context.AfterFunc.
template <class F>
after_func_stop after_func(const context& ctx, F f) {
  return after_func_stop(detail::after_func_erased(
      ctx, [](void* p) { (*static_cast<F*>(p))(); }, std::make_shared<F>(std::move(f))));
}

}  // namespace gort

template <>
struct std::is_error_code_enum<gort::context_error> : std::true_type {};
