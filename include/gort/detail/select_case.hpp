// The cases that chan<T>::on_recv and on_send make for gort::select. One is used once, by the
// thread that made it.
#pragma once

#include <optional>
#include <type_traits>
#include <utility>

#include <gort/detail/chan_core.hpp>

namespace gort::detail {

struct select_entry;

/// What every case is derived from.
struct select_case_base {};

struct no_callback {
  void operator()() const noexcept {}
};

template <class T, class F>
class recv_case : public select_case_base {
  static_assert(std::is_invocable_v<F&, std::optional<T>> || std::is_invocable_v<F&>,
                "on_recv: the callback takes a std::optional<T>, or nothing");

 public:
  static constexpr bool is_default = false;

  recv_case(chan_body<T>* channel, F f) : channel_(channel), f_(std::move(f)) {}

  bool may_proceed() const noexcept { return channel_ != nullptr && channel_->may_recv(); }
  /// False: would have blocked.
  bool proceed() { return channel_->recv_now(value_) != attempt::not_ready; }
  select_entry entry() noexcept;
  void call() {
    if constexpr (std::is_invocable_v<F&, std::optional<T>>)
      f_(take());
    else
      f_();
  }

 private:
  std::optional<T> take() {
    std::optional<T> taken(std::move(value_));
    // Makes g++ forget that it may be empty: it would warn of a callback, inlined, that reads the
    // element without asking. It lives in memory anyway.
    asm("" : "+m"(taken));
    return taken;
  }

  chan_body<T>* channel_;
  std::optional<T> value_;
  [[no_unique_address]] F f_;
};

template <class T, class F>
class send_case : public select_case_base {
  static_assert(std::is_invocable_v<F&>, "on_send: the callback takes nothing");

 public:
  static constexpr bool is_default = false;

  send_case(chan_body<T>* channel, T&& value, F f)
      : channel_(channel), value_(std::move(value)), f_(std::move(f)) {}

  bool may_proceed() const noexcept { return channel_ != nullptr && channel_->may_send(); }
  bool proceed() {
    const attempt result = channel_->send_now(value_);
    if (result == attempt::closed) throw_runtime_error(send_on_closed);
    return result == attempt::done;
  }
  select_entry entry() noexcept;
  void call() { f_(); }

 private:
  chan_body<T>* channel_;
  T value_;
  [[no_unique_address]] F f_;
};

template <class F>
class default_case : public select_case_base {
  static_assert(std::is_invocable_v<F&>, "otherwise: the callback takes nothing");

 public:
  static constexpr bool is_default = true;

  explicit default_case(F f) : f_(std::move(f)) {}

  bool may_proceed() const noexcept { return false; }
  bool proceed() const noexcept { return false; }
  select_entry entry() noexcept;
  void call() { f_(); }

 private:
  [[no_unique_address]] F f_;
};

}  // namespace gort::detail
