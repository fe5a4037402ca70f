/// Goroutines that work on parts of one task: the first error wins and cancels the rest.
#pragma once

#include <exception>
#include <optional>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include <gort/context.hpp>
#include <gort/mutex.hpp>
#include <gort/wait_group.hpp>

namespace gort {

/// What a function of an errgroup must be.
template <class F>
concept returns_nothing_or_error_code = std::is_void_v<std::invoke_result_t<F&>> ||
    std::is_convertible_v<std::invoke_result_t<F&>, std::error_code>;

/// A function of the group fails by throwing (whatever it throws), by returning a std::error_code
/// that is set, or something that converts to one, as error enums do; and by goexit(), which is a
/// runtime_error for the group. Functions with other results are refused: a result that nobody
/// looks at may have been a failure. The group must outlive its goroutines: call wait() before it
/// is destroyed (the destructor does, and drops the error). Goroutines and plain threads. Go:
/// x/sync/errgroup.Group.
class errgroup {
 public:
  errgroup() = default;
  errgroup(const errgroup&) = delete;
  errgroup& operator=(const errgroup&) = delete;
  ~errgroup() { group_.wait(); }

  /// A group whose context() is cancelled by the first failure (with it as the cause) and by
  /// wait(). Go: errgroup.WithContext.
  explicit errgroup(gort::context parent) {
    auto made = with_cancel(std::move(parent));
    ctx_ = std::move(made.ctx);
    cancel_ = std::move(made.cancel);
  }
  const gort::context& context() const noexcept { return ctx_; }

  /// At most n goroutines at a time; go() then blocks. Negative: no limit; 0: none may start.
  /// Throws runtime_error while goroutines are active. Go: SetLimit.
  void set_limit(int n) {
    const mutex_guard guard(*this);
    if (active_ != 0) {
      throw runtime_error("errgroup: modify limit while " + std::to_string(active_) +
                          " goroutines in the group are still active");
    }
    limit_ = n;
  }

  /// Starts f in a goroutine; blocks while the limit is reached. Go: Go.
  template <returns_nothing_or_error_code F>
  void go(F f) {
    detail::require_callable(f, detail::go_of_nil);
    take_place();
    start(place(this), std::move(f));
  }

  /// Starts f if the limit allows it now; false: not started. Go: TryGo.
  template <returns_nothing_or_error_code F>
  [[nodiscard]] bool try_go(F f) {
    detail::require_callable(f, detail::go_of_nil);
    {
      const mutex_guard guard(*this);
      if (full()) return false;
      ++active_;
    }
    start(place(this), std::move(f));
    return true;
  }

  /// Blocks until all have ended; then throws the first failure: the exception itself, or
  /// std::system_error of the code. Go: Wait.
  void wait() {
    finish();
    if (failure_ != nullptr) std::rethrow_exception(failure_);
    if (code_) throw std::system_error(code_);
  }

  /// The same, but a failure by error code is put into `error` (cleared if there is none); an
  /// exception is still thrown.
  void wait(std::error_code& error) {
    finish();
    if (failure_ != nullptr) std::rethrow_exception(failure_);
    error = code_;
  }

 private:
  struct mutex_guard {
    errgroup& self;
    explicit mutex_guard(errgroup& g) : self(g) { self.mutex_.lock(); }
    ~mutex_guard() { self.mutex_.unlock(); }
    mutex_guard(const mutex_guard&) = delete;
    mutex_guard& operator=(const mutex_guard&) = delete;
  };

  bool full() const noexcept { return limit_ >= 0 && active_ >= limit_; }

  // The place is the goroutine's; a freed place is handed to the longest waiter.
  void take_place() {
    detail::waiter self;
    {
      const mutex_guard guard(*this);
      if (!full()) {
        ++active_;
        return;
      }
      self.owner = detail::current_g();
      waiting_.push_back(&self);
    }
    detail::park(detail::wait_reason::chan_send);  // Go's group waits on a channel here
  }

  void leave_place() {
    detail::waiter* next;
    {
      const mutex_guard guard(*this);
      next = waiting_.pop_front();
      if (next == nullptr) --active_;
    }
    if (next != nullptr) detail::ready_tail(next->owner);
  }

  // One that is taken; given back also if moving the function throws.
  struct place {
    errgroup* group;
    explicit place(errgroup* g) noexcept : group(g) {}
    place(place&& other) noexcept : group(std::exchange(other.group, nullptr)) {}
    ~place() {
      if (group != nullptr) group->leave_place();
    }
  };

  template <class F>
  void start(place mine, F&& f) {
    group_.go([this](place, F&& call) { run(call); }, std::move(mine), std::move(f));
  }

  template <class F>
  void run(F& f) {
    std::error_code code;
    std::exception_ptr thrown;
    try {
      if constexpr (std::is_void_v<std::invoke_result_t<F&>>)
        f();
      else
        code = f();
    } catch (...) {
      thrown = std::current_exception();
      if (thrown == nullptr) {  // goexit() must go on
        fail({}, std::make_exception_ptr(
                     runtime_error("errgroup: a function of the group ended its goroutine")));
        throw;
      }
    }
    if (code || thrown != nullptr) fail(code, thrown);
  }

  void fail(std::error_code code, std::exception_ptr thrown) {
    {
      const mutex_guard guard(*this);
      if (code_ || failure_ != nullptr) return;
      code_ = code;
      failure_ = thrown;
    }
    if (thrown != nullptr)
      cancel_(thrown);
    else
      cancel_(std::system_error(code));
  }

  void finish() {
    group_.wait();
    cancel_();
  }

  mutex mutex_;  // guards the next six
  int limit_ = -1;
  int active_ = 0;
  detail::waiter_list waiting_;
  std::error_code code_;
  std::exception_ptr failure_;
  gort::context ctx_;
  cancel_function cancel_;
  wait_group group_;
};

}  // namespace gort
