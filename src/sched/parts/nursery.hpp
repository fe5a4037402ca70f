// A P's nursery: goroutines that have been started and have not run yet.
//
// Problem: programs that fork recursively (divide and conquer, trees of requests) need bounded
// memory and warm caches, which means depth first: the newest unstarted goroutine runs first, as in
// Cilk. Thieves want the opposite end: the oldest is the largest piece of work. And none may wait
// for ever, so the owner too takes the oldest now and then (turns.hpp).
//
// It is a bounded ring whose head, tail and a version stand in one word, so each operation is one
// read-modify-write of it.
//
// Invariants
//   [nursery-1] Only the owner pushes. The entries of [head, tail) were stored before the release
//               addition that moved `tail` over them.
//   [nursery-2] Every removal, at either end, is a swap of the whole word that also increments the
//               version. So a swap that succeeds proves that no entry was removed since the word
//               was loaded; entries pushed since make it fail too. What was read before it is
//               intact.
//   [nursery-3] A slot is overwritten only by a push that has seen it outside [head, tail): its
//               acquire load pairs with the release of the removing swap.
//
// The version has 32 bits: a thief would have to sleep through exactly a multiple of four billion
// removals between its load and its swap to be deceived.
//
// Rejected: Chase-Lev (its owner's pop needs a store-load fence as dear as a swap, and thieves may
// only take one entry at a time); the run queue for everything (breadth first: the skynet benchmark
// then keeps 100 000 stacks and a million records alive, and is three times slower).
#pragma once

#include <cstdint>

#include <gort/detail/atomic.hpp>
#include <gort/detail/delay_point.hpp>

namespace gort::sched {

/// T as in basic_runq. Capacity is a power of two of at most 2^15.
template <class T, std::uint32_t Capacity>
class basic_nursery {
  static_assert((Capacity & (Capacity - 1)) == 0 && Capacity >= 2 && Capacity <= 1u << 15);

 public:
  static constexpr std::uint32_t capacity = Capacity;

  /// Owner. False: full; the caller moves half of it elsewhere with take_half() and retries.
  bool push(T item) noexcept {
    // Acquire pairs with the swaps' release [nursery-3].
    const word now{word_.load_acquire()};
    if (now.size() == Capacity) return false;
    ring_[now.tail() % Capacity].store_relaxed(item);  // published by the next line
    // Release pairs with the acquire in steal_into() [nursery-1]. The carry leaves at the top.
    word_.fetch_add_release(word::one_tail);
    return true;
  }

  /// Owner. Zero when empty.
  T pop_newest() noexcept {
    std::uint64_t raw = word_.load_relaxed();  // entries are this thread's own
    for (;;) {
      const word now{raw};
      if (now.size() == 0) return T{};
      const T item = ring_[(now.tail() - 1) % Capacity].load_relaxed();
      // Acquire: the next push into this slot must not become visible before the swap. Release
      // pairs with the acquire in push().
      if (word_.cas_acq_rel(raw, now.without_newest())) return item;
    }
  }

  /// Owner. Zero when empty.
  T pop_oldest() noexcept {
    T item;
    return take(1, &item) != 0 ? item : T{};  // else it may hold what a thief has taken
  }

  /// Owner. Moves the older half into `out` (room for Capacity / 2); returns how many.
  std::uint32_t take_half(T* out) noexcept { return take(Capacity / 2, out); }

  /// Thief, the owner of `to`, which is empty. Takes the older half, rounded up; returns the oldest
  /// to run, zero when there was nothing.
  T steal_into(basic_nursery& to) noexcept {
    // Acquire pairs with the release in push(): the entries are visible.
    std::uint64_t raw = word_.load_acquire();
    for (;;) {
      const word now{raw};
      std::uint32_t count = now.size();
      if (count == 0) return T{};
      count -= count / 2;
      // Acquire pairs with the swap of the thief that emptied it [nursery-3]; only we push.
      const word theirs{to.word_.load_acquire()};
      const T first = ring_[now.head() % Capacity].load_relaxed();
      for (std::uint32_t i = 1; i < count; ++i) {
        const T item = ring_[(now.head() + i) % Capacity].load_relaxed();
        to.ring_[(theirs.tail() + i - 1) % Capacity].store_relaxed(item);  // not published yet
      }
      detail::delay_point(detail::delay_at::steal);
      if (!word_.cas_acq_rel(raw, now.without_oldest(count))) continue;  // as in pop_newest()
      // Release as in push().
      if (count > 1) to.word_.fetch_add_release(word::one_tail * (count - 1));
      return first;
    }
  }

  /// Exact for the owner while nobody steals, else a hint.
  std::uint32_t size() const noexcept { return word{word_.load_relaxed()}.size(); }

  /// All entries; with the world stopped.
  template <class F>
  void for_each(F&& f) const {
    const word now{word_.load_relaxed()};
    for (std::uint32_t i = 0; i < now.size(); ++i)
      f(ring_[(now.head() + i) % Capacity].load_relaxed());
  }

 private:
  friend struct debugger_view;

  // From low to high: version (32 bits), head (16), tail (16).
  struct word {
    static constexpr std::uint64_t one_tail = std::uint64_t{1} << 48;
    static constexpr std::uint64_t head_mask = std::uint64_t{0xffff} << 32;
    std::uint64_t raw;
    std::uint32_t head() const noexcept { return static_cast<std::uint32_t>(raw >> 32) & 0xffff; }
    std::uint32_t tail() const noexcept { return static_cast<std::uint32_t>(raw >> 48); }
    std::uint32_t size() const noexcept { return (tail() - head()) & 0xffff; }
    std::uint64_t next_version() const noexcept { return (raw + 1) & 0xffffffff; }
    std::uint64_t without_newest() const noexcept {
      return ((raw - one_tail) & ~std::uint64_t{0xffffffff}) | next_version();
    }
    std::uint64_t without_oldest(std::uint32_t count) const noexcept {
      const std::uint64_t head_moved = (raw + (std::uint64_t{count} << 32)) & head_mask;
      return (raw & (std::uint64_t{0xffff} << 48)) | head_moved | next_version();
    }
  };

  // What stands in `out` beyond the number returned is nobody's.
  std::uint32_t take(std::uint32_t limit, T* out) noexcept {
    std::uint64_t raw = word_.load_relaxed();  // entries are this thread's own
    for (;;) {
      const word now{raw};
      const std::uint32_t count = now.size() < limit ? now.size() : limit;
      if (count == 0) return 0;
      for (std::uint32_t i = 0; i < count; ++i)
        out[i] = ring_[(now.head() + i) % Capacity].load_relaxed();
      if (word_.cas_acq_rel(raw, now.without_oldest(count))) return count;  // as in pop_newest()
    }
  }

  detail::atomic<std::uint64_t> word_;
  detail::atomic<T> ring_[Capacity];
};

}  // namespace gort::sched
