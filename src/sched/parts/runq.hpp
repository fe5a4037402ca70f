// A P's run queue: a bounded ring that its owner fills and anybody may steal from, and one slot for
// the G that is to run next.
//
// Problem: the owner pushes and pops some ten million times a second; thieves come rarely and must
// neither lose nor double an entry, nor slow the owner down when they stay away.
//
// Invariants
//   [runq-1] Only the owner writes `tail` and the ring's entries; entries in [head, tail) are
//            published by the release store of `tail`.
//   [runq-2] Whoever moves `head` from h to h + n by a successful compare-and-swap owns the entries
//            [h, h + n) as read before it; a failed swap makes what was read void. `head` only
//            grows, so 32-bit wrap-around would need four billion operations between a thief's load
//            and its swap.
//   [runq-3] An entry slot is overwritten only after `head` has passed it (the owner's acquire of
//            `head` pairs with the release of the swap), so a successful swap read intact entries.
//   [runq-4] `next` is exchanged as a whole by anyone: exactly one party gets its content.
//
// Who may do what: push, pop, take_half, set_next, take_next: the owner (the M that holds the P, or
// whoever has stopped the world). steal_into, steal_next: any M, into a queue that it owns.
//
// Rejected: a Chase-Lev deque (pops newest first, which starves the oldest G); a lock that the
// owner takes with plain stores and thieves with membarrier(2) (not available everywhere, and the
// swap costs the owner 2 ns).
#pragma once

#include <cstdint>

#include <gort/detail/atomic.hpp>
#include <gort/detail/delay_point.hpp>

namespace gort::sched {

/// T is a trivially copyable word whose zero means "nothing". Capacity is a power of two.
template <class T, std::uint32_t Capacity>
class basic_runq {
  static_assert((Capacity & (Capacity - 1)) == 0 && Capacity >= 2);

 public:
  static constexpr std::uint32_t capacity = Capacity;

  /// Owner. False: full; the caller moves half of it elsewhere with take_half() and retries.
  bool push(T item) noexcept {
    const std::uint32_t tail = tail_.load_relaxed();  // only the owner writes it
    // Acquire pairs with the release swaps of consumers [runq-3].
    const std::uint32_t head = head_.load_acquire();
    if (tail - head >= Capacity) return false;
    ring_[tail % Capacity].store_relaxed(item);  // published by the next line
    // Release pairs with the acquire of tail_ in steal_into().
    tail_.store_release(tail + 1);
    return true;
  }

  /// Owner. Zero when empty.
  T pop() noexcept {
    for (;;) {
      // Relaxed: the entries were written by this very thread, or by one that handed the P over.
      std::uint32_t head = head_.load_relaxed();
      const std::uint32_t tail = tail_.load_relaxed();
      if (head == tail) return T{};
      const T item = ring_[head % Capacity].load_relaxed();
      // Release pairs with the acquire of head_ in push(): the slot is free only after our read.
      if (head_.cas_release(head, head + 1)) return item;
    }
  }

  /// Owner. Moves the older half (at least one entry) into `out`, which has room for Capacity / 2
  /// entries (one if Capacity is 2); returns how many. Zero: thieves were faster.
  std::uint32_t take_half(T* out) noexcept {
    std::uint32_t head = head_.load_relaxed();
    const std::uint32_t count = (tail_.load_relaxed() - head) / 2;
    for (std::uint32_t i = 0; i < count; ++i) out[i] = ring_[(head + i) % Capacity].load_relaxed();
    // Release as in pop().
    if (count == 0 || !head_.cas_release(head, head + count)) return 0;
    return count;
  }

  /// Thief, the owner of `to`, which is empty. Moves half of our entries, rounded up, to `to`;
  /// returns one of them for the thief to run, zero when there was nothing.
  T steal_into(basic_runq& to) noexcept {
    for (;;) {
      // Acquire of head_: so that tail_ is not older than it. Acquire of tail_ pairs with the
      // release in push(): the entries below it are visible.
      std::uint32_t head = head_.load_acquire();
      const std::uint32_t tail = tail_.load_acquire();
      std::uint32_t count = tail - head;
      if (count == 0) return T{};
      if (count > Capacity) continue;  // head_ is stale: others have moved on
      count -= count / 2;
      // Acquire of `to`'s head_ pairs with the swap of the thief that emptied it [runq-3].
      const std::uint32_t to_tail = to.tail_.load_relaxed();
      if (to.head_.load_acquire() != to_tail) return T{};  // the caller was to see to that
      T last{};
      for (std::uint32_t i = 0; i < count; ++i) {
        last = ring_[(head + i) % Capacity].load_relaxed();
        to.ring_[(to_tail + i) % Capacity].store_relaxed(last);  // not published yet
      }
      detail::delay_point(detail::delay_at::steal);
      // Release as in pop(); a failure voids what was copied [runq-2].
      if (!head_.cas_release(head, head + count)) continue;
      // Release pairs with the next thief's acquire of tail_.
      if (count > 1) to.tail_.store_release(to_tail + count - 1);
      return last;
    }
  }

  /// Owner: makes `item` the next to run; returns what stood there before.
  /// Acquire-release: passes the pushed G's state to a thief and takes the old one's over.
  T set_next(T item) noexcept { return next_.exchange_acq_rel(item); }

  /// Owner.
  T take_next() noexcept {
    if (next_.load_relaxed() == T{}) return T{};  // only the owner fills it
    return next_.exchange_acq_rel(T{});           // pairs with set_next()
  }

  /// Thief.
  T steal_next() noexcept {
    if (next_.load_relaxed() == T{}) return T{};  // a hint: a fresh entry is seen next time
    detail::delay_point(detail::delay_at::steal);
    return next_.exchange_acq_rel(T{});  // pairs with set_next()
  }

  /// All entries, `next` included; with the world stopped.
  template <class F>
  void for_each(F&& f) const {
    if (T next = next_.load_relaxed(); next != T{}) f(next);
    const std::uint32_t tail = tail_.load_relaxed();
    for (std::uint32_t i = head_.load_relaxed(); i != tail; ++i)
      f(ring_[i % Capacity].load_relaxed());
  }

  bool has_next() const noexcept { return next_.load_relaxed() != T{}; }

  /// Exact for the owner, a hint for others.
  std::uint32_t size() const noexcept { return tail_.load_relaxed() - head_.load_relaxed(); }

 private:
  friend struct debugger_view;

  detail::atomic<std::uint32_t> head_;
  detail::atomic<std::uint32_t> tail_;
  detail::atomic<T> next_;
  detail::atomic<T> ring_[Capacity];
};

}  // namespace gort::sched
