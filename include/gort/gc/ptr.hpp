// gc::ptr and the casts: part of <gort/gc.hpp>.
#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <type_traits>
#include <utility>

#include <gort/detail/managed_check.hpp>
#include <gort/detail/managed_word.hpp>

namespace gort::gc {

template <class T>
class ptr;

namespace detail_of {
template <class T>
struct access;  // for what makes managed objects

template <class T>
struct iterator_facts {  // as far as T can be iterated over
  using value_type = std::remove_cv_t<T>;
  using reference = T&;
};
template <class T>
requires std::is_void_v<T>
struct iterator_facts<T> {
  using value_type = void;
  using reference = void;
};
}  // namespace detail_of

/// A pointer to a managed object, or into one: what a gc::ptr can reach lives. One word. It may be
/// anywhere: on stacks, in managed objects, in what malloc gave, in globals, thread_locals,
/// closures, coroutine frames, exceptions. Raw pointers and references are good while some gc::ptr
/// to the object is. Reading and writing one is as for raw pointers: not from several threads at a
/// time, for which there is atomic_ptr. Into an array it is a contiguous iterator; one past the end
/// it keeps nothing of that alive, but may what lies behind. Never throws, never blocks; any
/// thread. Go: a pointer.
///
/// In managed memory its destructor need not run. Elsewhere it must: memory with a gc::ptr in it is
/// not to be freed, or moved by memcpy, as if there were none.
template <class T>
class ptr {
 public:
  using element_type = T;
  using value_type = typename detail_of::iterator_facts<T>::value_type;
  using reference = typename detail_of::iterator_facts<T>::reference;
  using pointer = T*;
  using difference_type = std::ptrdiff_t;
  using iterator_category = std::random_access_iterator_tag;
  using iterator_concept = std::contiguous_iterator_tag;

  ptr() noexcept = default;
  ptr(std::nullptr_t) noexcept {}
  ptr(const ptr& from) noexcept : word_(from.word_.get()) {}
  ptr(ptr&& from) noexcept : word_(from.word_.get()) { from.word_.clear(); }
  template <class U>
  requires std::convertible_to<U*, T*> ptr(const ptr<U>& from)
  noexcept : ptr(from.get(), taken) {}
  template <class U>
  requires std::convertible_to<U*, T*> ptr(ptr<U>&& from)
  noexcept : ptr(from.get(), taken) { from = nullptr; }
  /// Points to `part`, which lies in the object that `whole` points to.
  template <class U>
  ptr(const ptr<U>& whole, T* part) noexcept : ptr(part, taken) {
    (void)whole;
  }

  ptr& operator=(const ptr& from) noexcept {
    word_.set(from.word_.get());
    return *this;
  }
  ptr& operator=(ptr&& from) noexcept {
    const std::uintptr_t value = from.word_.get();
    if (this == &from) return *this;
    word_.set(value);
    from.word_.clear();
    return *this;
  }
  ptr& operator=(std::nullptr_t) noexcept {
    word_.clear();
    return *this;
  }

  /// To an object, or a part of one, that some gc::ptr keeps: `this` of a managed object, say.
  template <class U = T>
  requires(!std::is_void_v<U>) static ptr pointer_to(U& of) noexcept {
    return ptr(std::addressof(of), taken);
  }

  T* get() const noexcept { return reinterpret_cast<T*>(word_.get()); }
  explicit operator bool() const noexcept { return word_.get() != 0; }

  /// In code with assertions (or GORT_GC_CHECKS=1; 0: without) these three end the process where a
  /// destructor uses what has died with its object: docs/gc.md, "When an object dies".
  GORT_GC_CHECKED T* operator->() const noexcept { return used(get()); }
  template <class U = T>
  requires(!std::is_void_v<U>) GORT_GC_CHECKED U& operator*() const noexcept {
    return *used(get());
  }
  template <class U = T>
  requires(!std::is_void_v<U>) GORT_GC_CHECKED U& operator[](std::ptrdiff_t i) const noexcept {
    return *used(get() + i);
  }

  ptr& operator+=(std::ptrdiff_t n) noexcept requires(!std::is_void_v<T>) {
    word_.set(reinterpret_cast<std::uintptr_t>(get() + n));
    return *this;
  }
  ptr& operator-=(std::ptrdiff_t n) noexcept requires(!std::is_void_v<T>) { return *this += -n; }
  ptr& operator++() noexcept requires(!std::is_void_v<T>) { return *this += 1; }
  ptr& operator--() noexcept requires(!std::is_void_v<T>) { return *this += -1; }
  ptr operator++(int) noexcept requires(!std::is_void_v<T>) {
    ptr before = *this;
    ++*this;
    return before;
  }
  ptr operator--(int) noexcept requires(!std::is_void_v<T>) {
    ptr before = *this;
    --*this;
    return before;
  }
  friend ptr operator+(const ptr& p, std::ptrdiff_t n) noexcept requires(!std::is_void_v<T>) {
    return ptr(p.get() + n, taken);
  }
  friend ptr operator+(std::ptrdiff_t n, const ptr& p) noexcept requires(!std::is_void_v<T>) {
    return p + n;
  }
  friend ptr operator-(const ptr& p, std::ptrdiff_t n) noexcept requires(!std::is_void_v<T>) {
    return p + -n;
  }
  friend std::ptrdiff_t operator-(const ptr& a, const ptr& b) noexcept
      requires(!std::is_void_v<T>) {
    return a.get() - b.get();
  }

  friend bool operator==(const ptr& a, const ptr& b) noexcept { return a.get() == b.get(); }
  friend std::strong_ordering operator<=>(const ptr& a, const ptr& b) noexcept {
    return std::compare_three_way()(a.get(), b.get());
  }
  friend bool operator==(const ptr& p, std::nullptr_t) noexcept { return !p; }
  friend void swap(ptr& a, ptr& b) noexcept {
    ptr kept = std::move(a);
    a = std::move(b);
    b = std::move(kept);
  }

 private:
  template <class U>
  friend class ptr;
  friend struct detail_of::access<T>;
  enum taken_tag { taken };

  GORT_GC_CHECKED static T* used(T* object) noexcept {
    return gort::detail::gc_used<GORT_GC_CHECKS != 0>(object);
  }

  ptr(T* address, taken_tag) noexcept : word_(reinterpret_cast<std::uintptr_t>(address)) {}

  detail::managed_word word_;
};

template <class T, class U>
requires std::equality_comparable_with<T*, U*> &&(!std::same_as<T, U>)bool operator==(
    const ptr<T>& a, const ptr<U>& b) noexcept {
  return a.get() == b.get();
}

template <class T, class U>
ptr<T> static_pointer_cast(const ptr<U>& from) noexcept {
  return ptr<T>(from, static_cast<T*>(from.get()));
}
template <class T, class U>
ptr<T> const_pointer_cast(const ptr<U>& from) noexcept {
  return ptr<T>(from, const_cast<T*>(from.get()));
}
/// Null if it is no T.
template <class T, class U>
ptr<T> dynamic_pointer_cast(const ptr<U>& from) noexcept {
  return ptr<T>(from, dynamic_cast<T*>(from.get()));
}

namespace detail_of {
template <class T>
struct access {
  static std::uintptr_t* word(ptr<T>& of) noexcept { return of.word_.address(); }
};
}  // namespace detail_of

}  // namespace gort::gc

template <class T>
struct std::hash<gort::gc::ptr<T>> {
  std::size_t operator()(const gort::gc::ptr<T>& p) const noexcept {
    return std::hash<T*>()(p.get());
  }
};
