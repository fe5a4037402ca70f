/// Doing something exactly once.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <gort/detail/atomic.hpp>
#include <gort/detail/callable.hpp>
#include <gort/detail/park.hpp>
#include <gort/error.hpp>

namespace gort {

/// call(f) runs f the first time and never again; other callers block until it has run. If f
/// throws, the exception goes to that caller and the once counts as done, as Go's does
/// (std::call_once would let the next caller try). Do not call it from within f: it would wait for
/// itself. Any call that has returned allows to destroy it, if no other can still come: also while
/// the one that ran f is on its way out. Go: sync.Once.
///
/// Invariants
///   [once-1] `state_` is untouched, running, waited_for or done, in this order.
///   [once-2] A waiter joins under `lock_` by a swap that leaves `waited_for`; the runner takes all
///            of them off, under `lock_`, with a swap back to `running`, until its swap from
///            `running` to `done` succeeds. That is its last access; then it wakes them.
class once {
 public:
  once() noexcept = default;
  once(const once&) = delete;
  once& operator=(const once&) = delete;

  /// Goroutines and plain threads. Throws what f throws.
  template <class F>
  void call(F&& f) {
    // Acquire pairs with the release in finish(): what f did is visible.
    if (state_.load_acquire() == done) [[likely]]
      return;
    if (!begin()) return;
    struct at_end {
      once& self;
      ~at_end() { self.finish(); }
    } end{*this};
    std::forward<F>(f)();
  }

 private:
  static constexpr std::uint32_t untouched = 0, running = 1, waited_for = 2, done = 3;

  bool begin() noexcept;  // true: the caller runs f; false: it has been run
  void finish() noexcept;

  detail::atomic<std::uint32_t> state_;
  detail::spin_lock lock_;
  detail::waiter_list waiting_;  // guarded by lock_
};

namespace detail {

// What the copies of one once_func() or once_value() share.
template <class F, class Value>
struct once_state {
  gort::once once;
  std::optional<F> f;  // until it has been called
  Value value{};
  std::exception_ptr failure;

  explicit once_state(F&& call) : f(std::move(call)) {}

  template <class Store>
  void run(Store store) {
    once.call([&] {
      struct at_end {
        once_state& self;
        bool returned = false;
        ~at_end() {
          self.f.reset();
          if (returned || self.failure != nullptr) return;
          self.failure = std::make_exception_ptr(
              runtime_error("gort: the function of a once ended its goroutine"));
        }
      } end{*this};
      try {
        store(*f);
      } catch (...) {
        failure = std::current_exception();
        if (failure == nullptr) throw;  // goexit() must go on
      }
      end.returned = true;
    });
    if (failure != nullptr) std::rethrow_exception(failure);
  }
};

}  // namespace detail

/// A function that calls f at its first call and never again; copies share it. Others that call it
/// meanwhile wait. An exception of f is thrown by that call and by each later one; if f ended its
/// goroutine by goexit(), later ones throw a runtime_error. Throws one for a null pointer or an
/// empty std::function. Goroutines and plain threads. Go: sync.OnceFunc.
template <class F>
auto once_func(F f) {
  static_assert(std::is_invocable_v<F&>);
  detail::require_callable(f, "sync: OnceFunc of a nil function");
  struct nothing {};
  // Const, so that moving the function copies the reference: what is moved from can be called.
  const auto state = std::make_shared<detail::once_state<F, nothing>>(std::move(f));
  return [state] { state->run([](F& call) { static_cast<void>(call()); }); };
}

/// The same for a function with a result: each call returns a reference to the one value that f
/// made, which lives as long as a copy of the function. (Several values: return a struct.) Go:
/// sync.OnceValue, OnceValues.
template <class F>
auto once_value(F f) {
  using value = std::remove_cvref_t<std::invoke_result_t<F&>>;
  static_assert(std::is_object_v<value>, "once_value: f returns nothing; use once_func");
  detail::require_callable(f, "sync: OnceValue of a nil function");
  const auto state =  // as above
      std::make_shared<detail::once_state<F, std::optional<value>>>(std::move(f));
  return [state]() -> const value& {
    state->run([&](F& call) { state->value.emplace(call()); });
    return *state->value;
  };
}

}  // namespace gort
