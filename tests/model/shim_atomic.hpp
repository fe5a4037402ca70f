// gort::detail::atomic under GORT_MODEL: the interface of include/gort/detail/atomic.hpp, each
// operation a scheduling point of the explorer (explorer.hpp).
//
// Values are sequentially consistent. The orders decide which happens-before edges exist: plain
// data that is passed without one is reported as a race. So a publication with too weak an order is
// found; an outcome that needs a store to be delayed past a later load (Dekker) is not.
#pragma once

#include "model/explorer.hpp"

namespace gort::detail {

template <class T>
class atomic {
 public:
  atomic() noexcept : value_{} {}
  explicit atomic(T initial) noexcept : value_{initial} {}
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;

  T load_relaxed() const noexcept { return load(false); }
  T load_acquire() const noexcept { return load(true); }
  T load_seq_cst() const noexcept { return load(true); }
  void store_relaxed(T v) noexcept { store(v, false); }
  void store_release(T v) noexcept { store(v, true); }
  void store_seq_cst(T v) noexcept { store(v, true); }

  T exchange_relaxed(T v) noexcept {
    return rmw(false, false, [&](T) { return v; });
  }
  T exchange_acquire(T v) noexcept {
    return rmw(true, false, [&](T) { return v; });
  }
  T exchange_release(T v) noexcept {
    return rmw(false, true, [&](T) { return v; });
  }
  T exchange_acq_rel(T v) noexcept {
    return rmw(true, true, [&](T) { return v; });
  }
  T exchange_seq_cst(T v) noexcept {
    return rmw(true, true, [&](T) { return v; });
  }

  bool cas_relaxed(T& e, T d) noexcept { return cas(e, d, false, false); }
  bool cas_acquire(T& e, T d) noexcept { return cas(e, d, true, false); }
  bool cas_release(T& e, T d) noexcept { return cas(e, d, false, true); }
  bool cas_acq_rel(T& e, T d) noexcept { return cas(e, d, true, true); }
  bool cas_seq_cst(T& e, T d) noexcept { return cas(e, d, true, true); }

  T fetch_add_relaxed(T n) noexcept { return add(n, false, false); }
  T fetch_add_acquire(T n) noexcept { return add(n, true, false); }
  T fetch_add_release(T n) noexcept { return add(n, false, true); }
  T fetch_add_acq_rel(T n) noexcept { return add(n, true, true); }
  T fetch_add_seq_cst(T n) noexcept { return add(n, true, true); }
  T fetch_sub_relaxed(T n) noexcept { return sub(n, false, false); }
  T fetch_sub_release(T n) noexcept { return sub(n, false, true); }
  T fetch_sub_acq_rel(T n) noexcept { return sub(n, true, true); }
  T fetch_sub_seq_cst(T n) noexcept { return sub(n, true, true); }
  T fetch_or_acq_rel(T b) noexcept {
    return rmw(true, true, [&](T v) { return static_cast<T>(v | b); });
  }
  T fetch_and_acq_rel(T b) noexcept {
    return rmw(true, true, [&](T v) { return static_cast<T>(v & b); });
  }

  T* address() noexcept { return &value_; }

 private:
  T load(bool acquire) const noexcept {
    model::step(&value_, false);
    if (acquire) model::acquire(clock_);
    return value_;
  }
  void store(T v, bool release) noexcept {
    model::step(&value_, true);
    model::release_store(clock_, release);
    value_ = v;
  }
  template <class F>
  T rmw(bool acquire, bool release, F f) noexcept {
    model::step(&value_, true);
    if (acquire) model::acquire(clock_);
    if (release) model::release_rmw(clock_);
    const T old = value_;
    value_ = f(old);
    return old;
  }
  bool cas(T& expected, T desired, bool acquire, bool release) noexcept {
    model::step(&value_, true);
    if (acquire) model::acquire(clock_);
    if (value_ != expected) {
      expected = value_;
      return false;
    }
    if (release) model::release_rmw(clock_);
    value_ = desired;
    return true;
  }
  T add(T n, bool acquire, bool release) noexcept {
    return rmw(acquire, release, [&](T v) { return static_cast<T>(v + n); });
  }
  T sub(T n, bool acquire, bool release) noexcept {
    return rmw(acquire, release, [&](T v) { return static_cast<T>(v - n); });
  }

  T value_;
  mutable model::clock clock_;
};

}  // namespace gort::detail
