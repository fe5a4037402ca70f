// Atomics whose ordering is part of the operation's name.
//
// Problem: a defaulted memory order hides the one thing a reviewer of lock-free code has to see.
// Here every access says its order, so `grep store_release` lists all publications, and a test
// (tests/tidy) bans std::atomic elsewhere. Each use of anything stronger than relaxed names its
// partner in a comment at the place of use.
//
// Under GORT_MODEL the same names come from the model checker (tests/model), which explores the
// interleavings of the code compiled against it. Keep the two interfaces equal.
//
// There are no free-standing fences: ThreadSanitizer does not understand them. A store-load
// ordering is written as a seq_cst read-modify-write on the word that both sides use.
#pragma once

#ifdef GORT_MODEL
#include "model/shim_atomic.hpp"
#else

#include <atomic>

namespace gort::detail {

template <class T>
class atomic {
 public:
  constexpr atomic() noexcept : value_{} {}
  constexpr explicit atomic(T initial) noexcept : value_{initial} {}
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;

  T load_relaxed() const noexcept { return value_.load(std::memory_order_relaxed); }
  T load_acquire() const noexcept { return value_.load(std::memory_order_acquire); }
  T load_seq_cst() const noexcept { return value_.load(std::memory_order_seq_cst); }

  void store_relaxed(T v) noexcept { value_.store(v, std::memory_order_relaxed); }
  void store_release(T v) noexcept { value_.store(v, std::memory_order_release); }
  void store_seq_cst(T v) noexcept { value_.store(v, std::memory_order_seq_cst); }

  T exchange_relaxed(T v) noexcept { return value_.exchange(v, std::memory_order_relaxed); }
  T exchange_acquire(T v) noexcept { return value_.exchange(v, std::memory_order_acquire); }
  T exchange_release(T v) noexcept { return value_.exchange(v, std::memory_order_release); }
  T exchange_acq_rel(T v) noexcept { return value_.exchange(v, std::memory_order_acq_rel); }
  T exchange_seq_cst(T v) noexcept { return value_.exchange(v, std::memory_order_seq_cst); }

  // Strong compare-and-swap; on failure `expected` holds what was found (loaded with the acquire
  // half of the order, or relaxed for release and relaxed).
  bool cas_relaxed(T& expected, T desired) noexcept {
    return value_.compare_exchange_strong(expected, desired, std::memory_order_relaxed,
                                          std::memory_order_relaxed);
  }
  bool cas_acquire(T& expected, T desired) noexcept {
    return value_.compare_exchange_strong(expected, desired, std::memory_order_acquire,
                                          std::memory_order_acquire);
  }
  bool cas_release(T& expected, T desired) noexcept {
    return value_.compare_exchange_strong(expected, desired, std::memory_order_release,
                                          std::memory_order_relaxed);
  }
  bool cas_acq_rel(T& expected, T desired) noexcept {
    return value_.compare_exchange_strong(expected, desired, std::memory_order_acq_rel,
                                          std::memory_order_acquire);
  }
  bool cas_seq_cst(T& expected, T desired) noexcept {
    return value_.compare_exchange_strong(expected, desired, std::memory_order_seq_cst,
                                          std::memory_order_seq_cst);
  }

  T fetch_add_relaxed(T n) noexcept { return value_.fetch_add(n, std::memory_order_relaxed); }
  T fetch_add_acquire(T n) noexcept { return value_.fetch_add(n, std::memory_order_acquire); }
  T fetch_add_release(T n) noexcept { return value_.fetch_add(n, std::memory_order_release); }
  T fetch_add_acq_rel(T n) noexcept { return value_.fetch_add(n, std::memory_order_acq_rel); }
  T fetch_add_seq_cst(T n) noexcept { return value_.fetch_add(n, std::memory_order_seq_cst); }
  T fetch_sub_relaxed(T n) noexcept { return value_.fetch_sub(n, std::memory_order_relaxed); }
  T fetch_sub_release(T n) noexcept { return value_.fetch_sub(n, std::memory_order_release); }
  T fetch_sub_acq_rel(T n) noexcept { return value_.fetch_sub(n, std::memory_order_acq_rel); }
  T fetch_sub_seq_cst(T n) noexcept { return value_.fetch_sub(n, std::memory_order_seq_cst); }
  T fetch_or_acq_rel(T bits) noexcept { return value_.fetch_or(bits, std::memory_order_acq_rel); }
  T fetch_and_acq_rel(T bits) noexcept {
    return value_.fetch_and(bits, std::memory_order_acq_rel);
  }

  // For futex(2) and other kernel interfaces that want the address of the word.
  T* address() noexcept { return reinterpret_cast<T*>(&value_); }

 private:
  static_assert(std::atomic<T>::is_always_lock_free);
  std::atomic<T> value_;
};

}  // namespace gort::detail

#endif  // GORT_MODEL
