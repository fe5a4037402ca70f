// Making managed objects: part of <gort/gc.hpp>.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include <gort/detail/managed_make.hpp>
#include <gort/detail/raw_nodes.hpp>
#include <gort/gc/ptr.hpp>

namespace gort::gc {

/// Whether a dead object of type T needs no destructor. True of itself where the destructor is
/// trivial. Specialize it as true for a type whose members are gc::ptr and such data: it has a
/// destructor then, but what that does is nothing in managed memory, and to run it costs a look at
/// each dead object and one cycle more until its memory is free.
template <class T>
inline constexpr bool needs_no_destructor = std::is_trivially_destructible_v<T>;
template <class T>
inline constexpr bool needs_no_destructor<ptr<T>> = true;

namespace detail_of {

// What can be copied as bytes has no gc::ptr in it, and is never scanned.
template <class T>
constexpr managed::kind kind_of() noexcept {
  static_assert(alignof(T) <= managed::alignment_max, "gc: types are aligned to 2 MiB at most");
  if constexpr (std::is_trivially_copyable_v<T>) return managed::kind::plain;
  return needs_no_destructor<T> ? managed::kind::scanned : managed::kind::ending;
}

template <class T>
class under_construction {  // destroys what there is if the next constructor throws
 public:
  explicit under_construction(T* first) noexcept : first_(first) {}
  under_construction(const under_construction&) = delete;
  under_construction& operator=(const under_construction&) = delete;
  ~under_construction() {
    while (count_ > 0) std::destroy_at(first_ + --count_);
  }
  void one_more() noexcept { ++count_; }
  void all_done() noexcept { count_ = 0; }

 private:
  T* first_;
  std::size_t count_ = 0;
};

}  // namespace detail_of

/// Makes a T in managed memory, as `new T(arguments...)` does. It lives as long as a gc::ptr can
/// reach it; then its destructor runs, once, on a goroutine (docs/gc.md says what that may touch).
/// What T's constructor throws comes out, and the memory is free again. Throws std::bad_alloc when
/// there is no memory after a collection. Blocks for up to 100 us, in place, where the collector
/// cannot keep up. Any thread. Go: new(T), &T{}.
template <class T, class... A>
requires(!std::is_array_v<T>) ptr<T> make(A&&... arguments) {
  using object = std::remove_cv_t<T>;
  constexpr managed::kind of = detail_of::kind_of<object>();
  ptr<object> made;
  managed::allocate_one<object, of>(detail_of::access<object>::word(made));
  if constexpr (std::is_aggregate_v<object> && !std::is_constructible_v<object, A&&...>)
    ::new (static_cast<void*>(made.get())) object{std::forward<A>(arguments)...};
  else
    ::new (static_cast<void*>(made.get())) object(std::forward<A>(arguments)...);
  if constexpr (of == managed::kind::ending)
    managed::set_ending(made.get(), managed::ending_of<object>, 1);
  return made;
}

/// Makes n value-initialized Ts in a row (zeros, for what has no constructor), and points to the
/// first; past the last one there is nothing. Memory fresh from the system is not touched to zero
/// it. n == 0: null. Throws std::bad_array_new_length, and what make() throws. Go: make([]T, n).
template <class T>
ptr<T> make_array(std::size_t n) {
  using object = std::remove_cv_t<T>;
  constexpr managed::kind of = detail_of::kind_of<object>();
  ptr<object> made;
  if (n == 0) return made;
  if (n > static_cast<std::size_t>(PTRDIFF_MAX) / sizeof(object)) throw std::bad_array_new_length();
  managed::allocate(detail_of::access<object>::word(made), n * sizeof(object), alignof(object), of,
                    true);
  // Of a scalar, value-initialization is zeros (and of pointers to members it is not).
  using scalar = std::remove_all_extents_t<object>;
  if constexpr (!(std::is_arithmetic_v<scalar> || std::is_enum_v<scalar> ||
                  std::is_pointer_v<scalar>)) {
    detail_of::under_construction<object> building(made.get());
    for (std::size_t i = 0; i < n; ++i) {
      ::new (static_cast<void*>(made.get() + i)) object();
      building.one_more();
    }
    building.all_done();
  }
  if constexpr (of == managed::kind::ending)
    managed::set_ending(made.get(), managed::ending_of<object>, n);
  return made;
}

/// Managed memory for standard containers: a container with it, as member of a managed object, is
/// part of the heap, where one with std::allocator holds roots, so that what refers to itself by
/// way of it never dies. For containers that take an allocator with pointers of its own: of
/// libstdc++ std::vector (but of bool) and deque, and what adapts them; not basic_string, list, map
/// and the unordered ones (before GCC 15), which do not compile with it: some keep raw pointers, so
/// that the collector would take their memory away. Elements' destructors are the container's
/// business. deallocate() does nothing.
template <class T>
requires(!std::is_same_v<T, bool>) class allocator {
 public:
  using value_type = T;
  using pointer = ptr<T>;
  using is_always_equal = std::true_type;

  allocator() noexcept = default;
  template <class U>
  allocator(const allocator<U>&) noexcept {}

  /// Throws std::bad_array_new_length, std::bad_alloc.
  pointer allocate(std::size_t n) {
    static_assert(alignof(T) <= managed::alignment_max, "gc: types are aligned to 2 MiB at most");
    static_assert(!gort::detail::kept_by_raw_pointers<T>,
                  "gc::allocator: this container keeps its memory by raw pointers, which keep "
                  "nothing alive; use std::vector or std::deque, or std::allocator (docs/gc.md)");
    ptr<T> made;
    if (n > static_cast<std::size_t>(PTRDIFF_MAX) / sizeof(T)) throw std::bad_array_new_length();
    // A byte more: containers keep pointers to their end, which would keep what begins there.
    managed::allocate(
        detail_of::access<T>::word(made), n * sizeof(T) + 1, alignof(T),
        std::is_trivially_copyable_v<T> ? managed::kind::plain : managed::kind::scanned, false);
    return made;
  }
  void deallocate(const pointer&, std::size_t) noexcept {}

  friend bool operator==(const allocator&, const allocator&) noexcept { return true; }
};

}  // namespace gort::gc
