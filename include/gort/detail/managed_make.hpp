// What gc::make and its like need of the library.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

#include <gort/detail/managed_word.hpp>

namespace gort::managed {

/// Of a type whose destructor runs when an object of it dies.
struct ending_type {
  void (*destroy)(void* first, std::size_t count) noexcept;
  std::size_t header_bytes;
};

/// plain: holds no gc::ptr, is never scanned. ending: is scanned, and has a destructor to be run.
enum class kind : std::uint8_t { plain, scanned, ending };

constexpr std::size_t alignment_max = std::size_t{2} << 20;  // of objects

/// Puts the address of new memory into *to: a managed_word that nobody else reads, so that it is
/// kept from the first instant. Zeroed, but `plain` memory only if `zeroed`. `alignment` at most
/// alignment_max. May wait for the collector, in place: the caller's locks stay its own. Throws
/// std::bad_alloc if there is none after a collection. Any thread.
void allocate(std::uintptr_t* to, std::size_t bytes, std::size_t alignment, kind of, bool zeroed);

// Sizes of small objects: what src/gc/size_classes.hpp says of them.
constexpr std::size_t small_bytes_max = 32 << 10;
constexpr unsigned class_count = 8 + 4 * 8;
constexpr unsigned class_for(std::size_t bytes) noexcept {  // 1 to small_bytes_max
  if (bytes <= 128) return static_cast<unsigned>((bytes - 1) / 16);
  const unsigned doubling = static_cast<unsigned>(std::bit_width(bytes - 1)) - 8;
  const std::size_t from = std::size_t{128} << doubling;
  return 8 + 4 * doubling + static_cast<unsigned>((bytes - 1 - from) >> (doubling + 5));
}

/// One object, not zeroed if it is plain.
struct shape {
  static constexpr std::size_t header_bytes = 16;  // of an `ending` one
  static constexpr unsigned no_bin = ~0U;
  std::size_t bytes;
  std::size_t alignment;
  kind of;

  /// Which of a cache's bins has slots for it.
  constexpr unsigned bin() const noexcept {
    const std::size_t whole = bytes + (of == kind::ending ? header_bytes : 0);
    if (alignment > 16 || whole > small_bytes_max) return no_bin;
    return static_cast<unsigned>(of) * class_count + class_for(whole);
  }
};

/// As allocate(), for what has a bin. `of` lasts.
void allocate_from_bin(std::uintptr_t* to, unsigned bin, const shape& of);
/// The same for kind `ending`.
void allocate_ending_from_bin(std::uintptr_t* to, unsigned bin, const shape& of);

template <class T, kind Of>
inline constexpr shape shape_of{sizeof(T), alignof(T), Of};

/// For one T.
template <class T, kind Of>
void allocate_one(std::uintptr_t* to) {
  constexpr unsigned bin = shape_of<T, Of>.bin();
  if constexpr (bin == shape::no_bin)
    allocate(to, sizeof(T), alignof(T), Of, false);
  else if constexpr (Of == kind::ending)
    allocate_ending_from_bin(to, bin, shape_of<T, Of>);
  else
    allocate_from_bin(to, bin, shape_of<T, Of>);
}

/// `count` objects of `type` at `first`, from allocate(..., ending), have been constructed.
void set_ending(void* first, const ending_type& type, std::size_t count) noexcept;

template <class T>
void destroy_each(void* first, std::size_t count) noexcept {
  T* each = static_cast<T*>(first);
  for (std::size_t i = count; i-- > 0;) std::destroy_at(each + i);
}

template <class T>
inline constexpr ending_type ending_of{&destroy_each<T>, std::max<std::size_t>(16, alignof(T))};

}  // namespace gort::managed
