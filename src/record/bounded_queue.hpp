// A first-in-first-out queue of fixed capacity for many writers and readers; nobody waits.
//
// Problem: threads that may be anywhere, in a signal's handler too, exchange small things (chunks
// of memory, samples) without locks or allocation.
//
// Each cell has a turn: 2 * round for "free for the round's writer", one more for "filled". Who
// wants a cell claims its position by compare-and-swap and then fills or empties it.
//
// Invariants
//   [queue-1] A cell is touched by who has claimed its position, between the claim and the store
//             of its turn. The acquire of the turn pairs with the release by who had it before.
//   [queue-2] A thread that is held up between the two makes the queue look full, or empty, from
//             there on; push() and pop() then say so and do not wait. So both are bounded: a
//             failed claim means that another thread's has succeeded.
//
// (Dmitry Vyukov's bounded queue, from his description.)
#pragma once

#include <cstddef>
#include <cstdint>

#include <gort/detail/atomic.hpp>

namespace gort::record {

template <class T>
struct queue_cell {
  detail::atomic<std::uint64_t> turn;
  T value;
};

/// The memory is the caller's, all zero at first; `capacity` is a power of two.
template <class T>
class bounded_queue {
 public:
  void use(queue_cell<T>* cells, std::size_t capacity) noexcept {
    cells_ = cells;
    mask_ = capacity - 1;
    shift_ = static_cast<unsigned>(__builtin_ctzll(capacity));
  }

  /// False: it is full.
  bool push(const T& value) noexcept {
    std::uint64_t at = tail_.load_relaxed();
    for (;;) {
      queue_cell<T>& cell = cells_[at & mask_];
      const std::uint64_t mine = 2 * (at >> shift_);
      // Acquire pairs with the release in pop() [queue-1].
      const std::uint64_t turn = cell.turn.load_acquire();
      if (turn == mine) {
        if (!tail_.cas_relaxed(at, at + 1)) continue;
        cell.value = value;
        cell.turn.store_release(mine + 1);  // pairs with the acquire in pop()
        return true;
      }
      if (turn < mine) return false;
      at = tail_.load_relaxed();
    }
  }

  /// False: it is empty.
  bool pop(T& value) noexcept {
    std::uint64_t at = head_.load_relaxed();
    for (;;) {
      queue_cell<T>& cell = cells_[at & mask_];
      const std::uint64_t mine = 2 * (at >> shift_) + 1;
      // Acquire pairs with the release in push() [queue-1].
      const std::uint64_t turn = cell.turn.load_acquire();
      if (turn == mine) {
        if (!head_.cas_relaxed(at, at + 1)) continue;
        value = cell.value;
        cell.turn.store_release(mine + 1);  // pairs with the acquire in push()
        return true;
      }
      if (turn < mine) return false;
      at = head_.load_relaxed();
    }
  }

 private:
  queue_cell<T>* cells_ = nullptr;
  std::uint64_t mask_ = 0;
  unsigned shift_ = 0;
  alignas(64) detail::atomic<std::uint64_t> tail_;
  alignas(64) detail::atomic<std::uint64_t> head_;
};

}  // namespace gort::record
