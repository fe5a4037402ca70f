// Long file: the same invariants bind the untyped half, the typed one, and how both park.
//
// The channel: a bounded ring of elements, a line of waiting receivers, a line of waiting senders.
//
// Problem: a buffered send or receive should cost one lock round trip and one move of the element;
// an unbuffered one should move the element straight from the sender's stack to the receiver's. And
// a wait may have several possible ends (select, a deadline), of which exactly one may happen.
//
// Invariants
//   [chan-1] Everything behind `lock_` is written under it. `count_`, `closed_` and the two
//            `*_waiting_` hints are atomic because they are also read without it.
//   [chan-2] While a receiver that can still be claimed is in line, the ring is empty, no claimable
//            sender is in line and the channel is open; a claimable sender is in line only while
//            the ring is full (of no elements, when unbuffered) and the channel is open.
//   [chan-3] Who takes a waiter off a line, and wins its ticket if it has one, passes the element,
//            sets `success`, and calls ready() once, after unlocking. A waiter with a lost ticket
//            is dropped: somebody else has woken its owner.
//   [chan-4] `closed_` goes from 0 to 1 once. So "not ready" read first and "open" read after it
//            prove that there was a moment at which the channel was open and not ready: that of the
//            first read. And "closed" read first and "empty" after it are final. The unlocked
//            checks of may_send() and may_recv() rest on this; any other answer takes the lock.
//   [chan-5] An exception from an element's move constructor reaches the operation that was
//            active, never the peer that is parked, and leaves the channel as it was before the
//            operation. A parked peer with no ticket stays in line. One with a ticket has been
//            claimed already, which cannot be taken back (others have dropped it from their lines
//            by then): it is woken with `retry` set and starts its wait anew. A receive that has
//            its element, but cannot move the first waiting sender's into the place that became
//            free, succeeds and wakes that sender to try again: the exception will be its own.
//
// Elements are moved under the lock: their move constructors and destructors must not block and
// must not use the same channel.
//
// Rejected: a ring with a sequence number per cell, as lock-free queues have: two
// read-modify-writes per operation instead of one, and select needs to look at several channels at
// one moment anyhow. A mutex that parks: the critical section is shorter than a park.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include <gort/detail/atomic.hpp>
#include <gort/detail/park.hpp>
#include <gort/detail/spin_lock.hpp>
#include <gort/error.hpp>

namespace gort::detail {

/// How one attempt at an operation ended.
enum class attempt : std::uint8_t { done, not_ready, closed };

inline constexpr const char* send_on_closed = "send on closed channel";

/// For ever: nobody has a way to make this G ready.
[[noreturn, gnu::noinline]] inline void block_forever(wait_reason why) noexcept {
  const awaited nobody{nullptr, nullptr, nullptr};
  for (;;) park(why, &nobody);
}

/// Holds a spin lock until unlock() or the end of the scope, whichever is first.
class unlockable_guard {
 public:
  explicit unlockable_guard(spin_lock& lock) noexcept : lock_(&lock) { lock.lock(); }
  ~unlockable_guard() {
    if (lock_ != nullptr) lock_->unlock();
  }
  unlockable_guard(const unlockable_guard&) = delete;
  unlockable_guard& operator=(const unlockable_guard&) = delete;
  void unlock() noexcept {
    lock_->unlock();
    lock_ = nullptr;
  }

 private:
  spin_lock* lock_;
};

inline constexpr std::size_t chan_line_bytes = 64;

/// All of a channel that does not depend on the element type.
class chan_core {
 public:
  chan_core(void* allocation, std::uint32_t capacity, bool hides_buffer) noexcept
      : references_(1),
        unbuffered_(capacity == 0),
        hides_buffer_(hides_buffer),
        allocation_(allocation),
        capacity_(capacity) {}
  chan_core(const chan_core&) = delete;
  chan_core& operator=(const chan_core&) = delete;

  // Relaxed: who copies a handle has one already.
  void retain() noexcept { references_.fetch_add_relaxed(1); }
  // Acquire-release pairs with itself: all uses of the other handles come before the destruction.
  bool release_is_last() noexcept { return references_.fetch_sub_acq_rel(1) == 1; }

  /// How many handles there are. Acquire pairs with the release in release_is_last(): what was done
  /// before one was dropped is seen by who does not count it.
  std::uint32_t handle_count() const noexcept { return references_.load_acquire(); }

  // Relaxed: the answer is old when the caller gets it.
  std::size_t len() const noexcept { return hides_buffer_ ? 0 : count_.load_relaxed(); }
  std::size_t cap() const noexcept { return hides_buffer_ ? 0 : capacity_; }
  bool is_closed() const noexcept {
    return closed_.load_acquire() != 0;  // pairs with the release in close()
  }

  /// False proves that a receive would have blocked [chan-4]; true is a hint.
  bool may_recv() const noexcept {
    // The acquires keep the load of closed_ last. They pair with no release that publishes data:
    // elements are only touched under the lock.
    if (count_.load_acquire() != 0) return true;
    if (senders_waiting_.load_acquire() != 0) return true;
    // Acquire pairs with the release in close().
    return closed_.load_acquire() != 0;
  }

  /// False proves that a send would have blocked [chan-4]; true is a hint.
  bool may_send() const noexcept {
    // As above: acquire for the order of the loads.
    if (receivers_waiting_.load_acquire() != 0) return true;
    if (count_.load_acquire() < capacity_) return true;
    // Acquire pairs with the release in close().
    return closed_.load_acquire() != 0;
  }

  /// Wakes everybody in line. Throws when it is closed already.
  void close() {
    waiter* woken = nullptr;
    if (!close_quietly(woken)) throw_runtime_error("close of closed channel");
    wake(woken);
  }

  /// close() in two steps, for who holds a lock: then the caller owes wake(). False: was closed.
  bool close_quietly(waiter*& woken) noexcept {
    spin_guard guard(lock_);
    if (closed_.load_relaxed() != 0) return false;
    // Release pairs with the acquire in may_recv(): who sees it sees all elements sent before.
    closed_.store_release(1);
    waiter** end = &woken;
    for (waiter_list* line : {&receivers_, &senders_}) {
      while (waiter* w = line->pop_claimed()) {
        w->success = false;
        *end = w;
        end = &w->next;  // free to use: it is in no list, and its owner sleeps [park-4]
      }
    }
    receivers_waiting_.store_relaxed(0);
    senders_waiting_.store_relaxed(0);
    return true;
  }

  static void wake(waiter* woken) noexcept {
    while (woken != nullptr) {
      waiter* w = woken;
      woken = w->next;
      ready_tail(w->owner);
    }
  }

  spin_lock& lock() noexcept { return lock_; }

  void line_up_locked(waiter& w, bool sends) noexcept {
    (sends ? senders_ : receivers_).push_back(&w);
    (sends ? senders_waiting_ : receivers_waiting_).store_relaxed(1);  // [chan-1]
  }

  /// Takes a waiter out of line whose wait has ended otherwise; no effect if it was dropped.
  void leave_line_locked(waiter& w, bool sends) noexcept {
    if (!w.queued) return;
    waiter_list& line = sends ? senders_ : receivers_;
    line.remove(&w);
    update_hint(line);
  }

 protected:
  void update_hint(const waiter_list& line) noexcept {
    // Relaxed: written under the lock; see may_recv() for the readers.
    (&line == &senders_ ? senders_waiting_ : receivers_waiting_).store_relaxed(!line.empty());
  }

  /// The first waiter whose wait this caller may end, still in line; null if there is none.
  waiter* claim_first(waiter_list& line) noexcept {
    while (waiter* w = line.head) {
      if (w->ticket == nullptr || w->ticket->claim(w->index)) return w;
      line.remove(w);
    }
    update_hint(line);
    return nullptr;
  }

  /// Its element has been passed. Returns whom to make ready once unlocked.
  g* finish_first(waiter_list& line, waiter* w) noexcept {
    line.remove(w);
    update_hint(line);
    w->success = true;
    return w->owner;
  }

  /// Its element could not be passed [chan-5].
  void give_up_first(waiter_list& line, waiter* w) noexcept {
    if (w->ticket != nullptr) wake_to_retry(line, w);
  }
  void wake_to_retry(waiter_list& line, waiter* w) noexcept {
    line.remove(w);
    update_hint(line);
    w->retry = true;
    ready(w->owner);
  }

  std::uint32_t after(std::uint32_t position) const noexcept {
    return position + 1 == capacity_ ? 0 : position + 1;
  }

  // Handles come and go on this line.
  alignas(chan_line_bytes) atomic<std::uint32_t> references_;
  const bool unbuffered_;    // capacity_ == 0, readable without touching the line of the lock
  const bool hides_buffer_;  // a timer's: len() and cap() say 0, as of Go's
  void* const allocation_;   // what to free

  // And this one changes with every operation.
  alignas(chan_line_bytes) spin_lock lock_;
  atomic<std::uint32_t> closed_;
  atomic<std::uint32_t> count_;
  const std::uint32_t capacity_;
  std::uint32_t head_ = 0;                   // next to receive
  std::uint32_t tail_ = 0;                   // next to send to
  atomic<std::uint32_t> receivers_waiting_;  // hint: receivers_ is not empty
  atomic<std::uint32_t> senders_waiting_;
  waiter_list receivers_;  // a receiver's slot is a std::optional<T>*, empty
  waiter_list senders_;    // a sender's slot is a T*
};
#ifndef GORT_MODEL
static_assert(sizeof(chan_core) == 2 * chan_line_bytes);
#endif

extern "C" [[gnu::weak]] void __lsan_ignore_object(const void* object);

/// A channel of T. Its ring follows it in the same allocation.
template <class T>
class chan_body : public chan_core {
  static constexpr bool moves_safely = std::is_nothrow_move_constructible_v<T>;
  static constexpr std::size_t alignment = alignof(T) > chan_line_bytes ? alignof(T)
                                                                        : chan_line_bytes;
  static constexpr std::size_t ring_offset =
      (sizeof(chan_core) + alignof(T) - 1) / alignof(T) * alignof(T);
  // operator new aligns to less than a line, and its aligned form is several times slower.
  static constexpr std::size_t slack_bytes = alignment - 1;

 public:
  /// Throws runtime_error, std::bad_alloc.
  static chan_body* create(std::int64_t capacity, bool hides_buffer = false) {
    constexpr std::size_t bytes_max = std::size_t{1} << 47;  // what a process can address
    constexpr std::size_t overhead = ring_offset + slack_bytes;
    static_assert(overhead < bytes_max);
    if (capacity < 0 || capacity > std::int64_t{UINT32_MAX} ||
        static_cast<std::size_t>(capacity) > (bytes_max - overhead) / sizeof(T))
      throw_runtime_error("makechan: size out of range");
    void* allocation = ::operator new(overhead + static_cast<std::size_t>(capacity) * sizeof(T));
    if (__lsan_ignore_object != nullptr) [[unlikely]]
      __lsan_ignore_object(allocation);  // handles hide it; what it holds is looked through
    auto address = reinterpret_cast<std::uintptr_t>(allocation);
    address = (address + slack_bytes) / alignment * alignment;
    return ::new (reinterpret_cast<void*>(address))
        chan_body(allocation, static_cast<std::uint32_t>(capacity), hides_buffer);
  }

  void release() noexcept {
    if (release_is_last()) destroy();
  }

  // ------------------------------------------------------------------ one attempt, lock held
  /// Moves from `value` if done. Sets `wake` to whom the caller must make ready after unlocking.
  attempt send_locked(T& value, g*& wake) noexcept(moves_safely) {
    if (closed_.load_relaxed() != 0) [[unlikely]]
      return attempt::closed;
    if (!receivers_.empty()) {
      if (waiter* w = claim_first(receivers_)) {
        pass(value, *static_cast<std::optional<T>*>(w->slot), receivers_, w);
        wake = finish_first(receivers_, w);
        return attempt::done;
      }
    }
    const std::uint32_t count = count_.load_relaxed();
    if (count >= capacity_) return attempt::not_ready;
    ::new (static_cast<void*>(at(tail_))) T(std::move(value));
    tail_ = after(tail_);
    count_.store_relaxed(count + 1);  // [chan-1]
    return attempt::done;
  }

  /// `into` must be empty; closed means closed and drained.
  [[gnu::always_inline]] attempt recv_locked(std::optional<T>& into,
                                             g*& wake) noexcept(moves_safely) {
    const std::uint32_t count = count_.load_relaxed();
    if (count != 0) {
      T* element = at(head_);
      into.emplace(std::move(*element));
      std::destroy_at(element);
      head_ = after(head_);
      count_.store_relaxed(count - 1);  // [chan-1]
      if (!senders_.empty()) wake = refill();
      return attempt::done;
    }
    if (!senders_.empty()) {
      if (waiter* w = claim_first(senders_)) {
        pass(*static_cast<T*>(w->slot), into, senders_, w);
        wake = finish_first(senders_, w);
        return attempt::done;
      }
    }
    return closed_.load_relaxed() != 0 ? attempt::closed : attempt::not_ready;
  }

  // ------------------------------------------------------------------ without waiting
  attempt send_now(T& value) {
    g* wake = nullptr;
    unlockable_guard guard(lock_);
    const attempt result = send_locked(value, wake);
    guard.unlock();
    if (wake != nullptr) ready(wake);
    return result;
  }

  attempt recv_now(std::optional<T>& into) {
    g* wake = nullptr;
    unlockable_guard guard(lock_);
    const attempt result = recv_locked(into, wake);
    guard.unlock();
    if (wake != nullptr) ready(wake);
    return result;
  }

  // ------------------------------------------------------------------ parking
  /// Throws on a closed channel; then `value` has not been moved from.
  void send(T& value) {
    // Unbuffered without a receiver in line: will park, so skip the attempt. Relaxed: send_slow()
    // looks under the lock.
    if (!unbuffered_ || receivers_waiting_.load_relaxed() != 0) {
      const attempt result = send_now(value);
      if (result == attempt::done) [[likely]]
        return;
      if (result == attempt::closed) throw_runtime_error(send_on_closed);
    }
    send_slow(value);
  }

  /// Leaves `into` empty when the channel is closed and drained.
  void recv(std::optional<T>& into) {
    if (!unbuffered_ || senders_waiting_.load_relaxed() != 0) {  // as in send()
      if (recv_now(into) != attempt::not_ready) [[likely]]
        return;
    }
    recv_slow(into);
  }

 private:
  using chan_core::chan_core;

  // Offset arithmetic on the bytes of the allocation: the ring is no member.
  T* at(std::uint32_t position) noexcept {
    return reinterpret_cast<T*>(reinterpret_cast<std::byte*>(this) + ring_offset) + position;
  }

  /// Moves an element between two stacks; `w`, first in `line`, is the parked side.
  void pass(T& from, std::optional<T>& to, waiter_list& line, waiter* w) noexcept(moves_safely) {
    if constexpr (moves_safely) {
      to.emplace(std::move(from));
      static_cast<void>(line);
      static_cast<void>(w);
    } else {
      try {
        to.emplace(std::move(from));
      } catch (...) {
        give_up_first(line, w);
        throw;
      }
    }
  }

  /// A place has become free: the first waiting sender's element takes it.
  [[gnu::noinline]] g* refill() noexcept {
    while (waiter* w = claim_first(senders_)) {
      T& element = *static_cast<T*>(w->slot);
      if constexpr (moves_safely) {
        ::new (static_cast<void*>(at(tail_))) T(std::move(element));
      } else {
        try {
          ::new (static_cast<void*>(at(tail_))) T(std::move(element));
        } catch (...) {
          wake_to_retry(senders_, w);  // [chan-5]
          continue;
        }
      }
      tail_ = after(tail_);
      count_.store_relaxed(count_.load_relaxed() + 1);  // [chan-1]
      return finish_first(senders_, w);
    }
    return nullptr;
  }

  [[gnu::noinline]] void send_slow(T& value) {
    g* self = current_g();  // before the lock: a thread's first call allocates
    for (;;) {
      g* wake = nullptr;
      unlockable_guard guard(lock_);
      const attempt result = send_locked(value, wake);
      if (result != attempt::not_ready) {
        guard.unlock();
        if (result == attempt::closed) throw_runtime_error(send_on_closed);
        if (wake != nullptr) ready(wake);
        return;
      }
      waiter w;
      w.owner = self;
      w.slot = std::addressof(value);
      line_up_locked(w, true);
      guard.unlock();
      const awaited this_one{static_cast<chan_core*>(this), nullptr, &w};
      park(wait_reason::chan_send, &this_one);
      if (w.success) return;
      if (!w.retry) throw_runtime_error(send_on_closed);
    }
  }

  [[gnu::noinline]] void recv_slow(std::optional<T>& into) {
    g* self = current_g();
    for (;;) {
      g* wake = nullptr;
      unlockable_guard guard(lock_);
      if (recv_locked(into, wake) != attempt::not_ready) {
        guard.unlock();
        if (wake != nullptr) ready(wake);
        return;
      }
      waiter w;
      w.owner = self;
      w.slot = std::addressof(into);
      line_up_locked(w, false);
      guard.unlock();
      const awaited this_one{static_cast<chan_core*>(this), nullptr, &w};
      park(wait_reason::chan_receive, &this_one);
      if (!w.retry) return;  // an element, or closed
    }
  }

  [[gnu::noinline]] void destroy() noexcept {
    // The last handle is gone. But several may share one handle, and one who has been passed an
    // element by it may drop it: the other is then about to unlock, or has just done so.
    lock_.wait_until_free();
    for (std::uint32_t left = count_.load_relaxed(); left != 0; --left) {
      std::destroy_at(at(head_));
      head_ = after(head_);
    }
    void* allocation = allocation_;
    std::destroy_at(this);
    ::operator delete(allocation);
  }
};

}  // namespace gort::detail
