/// Channels. The algorithm: gort/detail/chan_core.hpp; waiting for several at once:
/// gort/select.hpp; the guide: docs/channels.md.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <type_traits>
#include <utility>

#include <gort/detail/chan_core.hpp>
#include <gort/detail/chan_timed.hpp>
#include <gort/detail/select_case.hpp>
#include <gort/error.hpp>

namespace gort {

/// An element that carries nothing: chan<unit> only signals. Go: struct{}.
struct unit {
  friend constexpr bool operator==(unit, unit) noexcept { return true; }
};

/// What a receive that need not succeed found (try_recv, recv_for, recv_until).
template <class T>
struct try_recv_result {
  /// False: there was nothing to receive (in time), and the channel was open. True: the operation
  /// took place; `value` is empty if the channel is closed and drained.
  bool ready = false;
  std::optional<T> value;

  /// True if there is a value.
  explicit operator bool() const noexcept { return value.has_value(); }
  bool closed() const noexcept { return ready && !value.has_value(); }
  /// The value; throws std::bad_optional_access if there is none.
  T& operator*() { return value.value(); }
  const T& operator*() const { return value.value(); }
  T* operator->() { return &value.value(); }
  const T* operator->() const { return &value.value(); }
};

template <class T>
class chan;
template <class T>
class chan_sender;
template <class T>
class chan_receiver;

/// Makes a channel that buffers up to `n` elements; 0: unbuffered, each send waits for its receive.
/// Throws runtime_error when n is negative, above 2^32 - 1, or too large for memory to address;
/// std::bad_alloc. Never blocks. Any thread. Go: make(chan T, n).
template <class T>
chan<T> make_chan(std::int64_t n = 0);

namespace detail {

struct chan_access;  // src/sync: timers' channels, contexts'

/// A counted reference to a channel, or nil.
///
/// It is kept as the channel's address xor its own, and cleared in memory when it goes. So whoever
/// looks for leaked goroutines knows a handle from a mere copy of the address or of the word
/// (src/report/leaks.cpp). LeakSanitizer knows of no such thing: it is told of each channel.
template <class T>
class chan_handle {
  static_assert(std::is_object_v<T> && !std::is_const_v<T> && !std::is_array_v<T>);

 public:
  using value_type = T;

  constexpr chan_handle() noexcept = default;
  chan_handle(const chan_handle& other) noexcept : chan_handle(other.body_or_null()) {
    if (word_ != 0) body()->retain();
  }
  chan_handle(chan_handle&& other) noexcept : chan_handle(other.take()) {}
  chan_handle& operator=(chan_handle other) noexcept {
    chan_body<T>* const mine = take();
    set(other.take());
    other.set(mine);
    return *this;
  }
  ~chan_handle() {
    if (chan_body<T>* const last = take(); last != nullptr) last->release();
  }

  /// False for a nil channel.
  explicit operator bool() const noexcept { return word_ != 0; }
  /// Whether both are the same channel, or both nil. Views compare with channels too.
  friend bool operator==(const chan_handle& a, const chan_handle& b) noexcept {
    return a.body_or_null() == b.body_or_null();
  }

  /// Elements in the buffer at some moment during the call; 0 for nil. Go: len(c).
  std::size_t len() const noexcept { return is_nil() ? 0 : body()->len(); }
  /// Size of the buffer; 0 for nil, and for timers' channels as Go has it. Go: cap(c).
  std::size_t cap() const noexcept { return is_nil() ? 0 : body()->cap(); }

 protected:
  explicit chan_handle(chan_body<T>* body) noexcept { set(body); }
  friend struct chan_access;

  bool is_nil() const noexcept { return word_ == 0; }
  /// Not of nil.
  chan_body<T>* body() const noexcept { return reinterpret_cast<chan_body<T>*>(word_ ^ key()); }
  chan_body<T>* body_or_null() const noexcept { return is_nil() ? nullptr : body(); }

 private:
  std::uintptr_t key() const noexcept { return reinterpret_cast<std::uintptr_t>(this); }
  void set(chan_body<T>* to) noexcept {
    if (to != nullptr) word_ = reinterpret_cast<std::uintptr_t>(to) ^ key();
  }
  /// Leaves nil, in memory too: a store to what is about to end would be left out.
  chan_body<T>* take() noexcept {
    chan_body<T>* const had = body_or_null();
    word_ = 0;
    asm volatile("" : "+m"(word_));
    return had;
  }

  std::uintptr_t word_ = 0;  // 0: nil
};

/// The sending half of the interface. All of it is callable from goroutines and plain threads, and
/// concurrently on one handle as long as nobody assigns to that handle.
template <class T, class Base>
class send_side : public Base {
 public:
  using Base::Base;

  /// Sends, waiting for room in the buffer or, unbuffered, for a receiver. For ever on a nil
  /// channel. Throws runtime_error `send on closed channel`, also when it is closed during the
  /// wait; `value` has not been moved from then. Also throws what moving a T throws; the channel is
  /// unchanged then. Go: c <- v.
  void send(T&& value) const {
    if (this->is_nil()) [[unlikely]]
      block_forever(wait_reason::chan_send_nil);
    this->body()->send(value);
  }
  void send(const T& value) const requires std::copy_constructible<T> {
    T copy(value);  // here, not under the channel's lock
    send(std::move(copy));
  }

  /// Sends if that is possible without waiting. False: it is not, `value` has not been moved from.
  /// Throws on a closed channel as send() does. Go: select with a default.
  [[nodiscard]] bool try_send(T&& value) const {
    if (this->is_nil() || !this->body()->may_send()) return false;  // [chan-4]
    return sent(this->body()->send_now(value));
  }
  [[nodiscard]] bool try_send(const T& value) const requires std::copy_constructible<T> {
    T copy(value);
    return try_send(std::move(copy));
  }

  /// Sends, waiting at most so long. False: the time has passed, `value` has not been moved from.
  /// A time in the past: as try_send. Throws on a closed channel. Go: select with time.After.
  template <class Rep, class Period>
  [[nodiscard]] bool send_for(T&& value, std::chrono::duration<Rep, Period> longest) const {
    return send_by(value, deadline_after(longest));
  }
  template <class Rep, class Period>
  [[nodiscard]] bool send_for(const T& value, std::chrono::duration<Rep, Period> longest)
      const requires std::copy_constructible<T> {
    T copy(value);
    return send_by(copy, deadline_after(longest));
  }
  /// The same with a point in time. A clock other than steady_clock is read once, at the start.
  template <class Clock, class Duration>
  [[nodiscard]] bool send_until(T&& value, std::chrono::time_point<Clock, Duration> when) const {
    return send_by(value, deadline_at_any(when));
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool send_until(const T& value, std::chrono::time_point<Clock, Duration> when)
      const requires std::copy_constructible<T> {
    T copy(value);
    return send_by(copy, deadline_at_any(when));
  }

  /// Closes: receivers get what is buffered, then nothing; whoever sends, or waits to, gets an
  /// exception. Throws runtime_error `close of closed channel`, `close of nil channel`. Never
  /// blocks. Go: close(c).
  void close() const {
    if (this->is_nil()) throw_runtime_error("close of nil channel");
    this->body()->close();
  }

  /// A case of gort::select that sends `value` and then calls f(). The handle must outlive it.
  template <class F = no_callback>
  auto on_send(T value, F f = {}) const {
    return send_case<T, F>(this->body_or_null(), std::move(value), std::move(f));
  }

 private:
  static bool sent(attempt result) {
    if (result == attempt::closed) throw_runtime_error(send_on_closed);
    return result == attempt::done;
  }
  bool send_by(T& value, std::int64_t deadline_ns) const {
    if (this->is_nil()) {
      wait_for_nothing(wait_reason::chan_send_nil, deadline_ns);
      return false;
    }
    return sent(detail::send_by(*this->body(), value, deadline_ns));
  }
};

/// The receiving half; callable as the sending half is.
template <class T, class Base>
class recv_side : public Base {
 public:
  using Base::Base;

  /// Receives, waiting for an element. Empty: closed and drained. For ever on a nil channel. Throws
  /// what moving a T throws; the channel is unchanged then. Go: v, ok := <-c.
  std::optional<T> recv() const {
    if (this->is_nil()) [[unlikely]]
      block_forever(wait_reason::chan_receive_nil);
    std::optional<T> result;
    this->body()->recv(result);
    return result;
  }

  /// Receives if that is possible without waiting. Go: select with a default.
  try_recv_result<T> try_recv() const {
    try_recv_result<T> result;
    if (this->is_nil() || !this->body()->may_recv()) return result;  // [chan-4]
    result.ready = this->body()->recv_now(result.value) != attempt::not_ready;
    return result;
  }

  /// Receives, waiting at most so long; `ready` is false if the time has passed. Nothing is lost:
  /// an element is either returned or still to be received.
  template <class Rep, class Period>
  try_recv_result<T> recv_for(std::chrono::duration<Rep, Period> longest) const {
    return recv_by(deadline_after(longest));
  }
  /// The same with a point in time. A clock other than steady_clock is read once, at the start.
  template <class Clock, class Duration>
  try_recv_result<T> recv_until(std::chrono::time_point<Clock, Duration> when) const {
    return recv_by(deadline_at_any(when));
  }

  /// A case of gort::select that receives and then calls f(std::optional<T>), empty when closed and
  /// drained, or f(). The handle must outlive it.
  template <class F = no_callback>
  auto on_recv(F f = {}) const {
    return recv_case<T, F>(this->body_or_null(), std::move(f));
  }

  /// Receives one element after another; ends when the channel is closed and drained.
  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;

    explicit iterator(const recv_side& from) : from_(from) { ++*this; }
    iterator(iterator&&) = default;
    iterator& operator=(iterator&& other) noexcept(std::is_nothrow_move_constructible_v<T>) {
      from_ = std::move(other.from_);
      current_.reset();  // not by assignment, which T may lack
      if (other.current_) current_.emplace(std::move(*other.current_));
      return *this;
    }
    T& operator*() const noexcept { return *current_; }
    iterator& operator++() {
      current_.reset();
      if (from_.is_nil()) block_forever(wait_reason::chan_receive_nil);
      from_.body()->recv(current_);
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& i, std::default_sentinel_t) noexcept {
      return !i.current_.has_value();
    }

   private:
    recv_side from_;
    mutable std::optional<T> current_;  // an input iterator's element is its own
  };

  /// `for (auto& v : c)` is Go's `for v := range c`; may block, as recv() does.
  [[nodiscard]] iterator begin() const { return iterator(*this); }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  try_recv_result<T> recv_by(std::int64_t deadline_ns) const {
    try_recv_result<T> result;
    if (this->is_nil())
      wait_for_nothing(wait_reason::chan_receive_nil, deadline_ns);
    else
      result.ready =
          detail::recv_by(*this->body(), result.value, deadline_ns) != attempt::not_ready;
    return result;
  }
};

}  // namespace detail

/// A channel that one can only send to (and close). Go: chan<- T.
template <class T>
class chan_sender : public detail::send_side<T, detail::chan_handle<T>> {
  using base = detail::send_side<T, detail::chan_handle<T>>;

 public:
  constexpr chan_sender() noexcept = default;
  chan_sender(const chan<T>& c) noexcept;  // implicit, as in Go

 private:
  using base::base;
};

/// A channel that one can only receive from. Go: <-chan T.
template <class T>
class chan_receiver : public detail::recv_side<T, detail::chan_handle<T>> {
  using base = detail::recv_side<T, detail::chan_handle<T>>;

 public:
  constexpr chan_receiver() noexcept = default;
  chan_receiver(const chan<T>& c) noexcept;  // implicit, as in Go

 private:
  using base::base;
};

/// A channel of T: a counted reference to a queue shared by goroutines and threads. Copying copies
/// the reference; default-constructed it is nil. The queue is destroyed with its last reference,
/// with the elements that are left in it.
///
/// Elements are moved, from stack to stack if the peer waits. T's move constructor and destructor
/// run under the channel's lock: they must not block and must not use the same channel. If a move
/// throws, the exception reaches the caller whose operation it was and nothing else is lost; see
/// docs/channels.md.
///
/// What happens before a send is visible after its receive; what happens before close(), after a
/// receive that finds the channel closed; and the k-th receive from a channel of capacity C happens
/// before the k+C-th send completes.
template <class T>
class chan : public detail::recv_side<T, detail::send_side<T, detail::chan_handle<T>>> {
  using base = detail::recv_side<T, detail::send_side<T, detail::chan_handle<T>>>;

 public:
  using sender = chan_sender<T>;
  using receiver = chan_receiver<T>;

  constexpr chan() noexcept = default;

 private:
  friend sender;
  friend receiver;
  friend chan make_chan<T>(std::int64_t n);
  friend struct detail::chan_access;
  using base::base;
};

template <class T>
chan_sender<T>::chan_sender(const chan<T>& c) noexcept : base(c.body_or_null()) {
  if (c) c.body()->retain();
}

template <class T>
chan_receiver<T>::chan_receiver(const chan<T>& c) noexcept : base(c.body_or_null()) {
  if (c) c.body()->retain();
}

template <class T>
chan<T> make_chan(std::int64_t n) {
  return chan<T>(detail::chan_body<T>::create(n));
}

}  // namespace gort
