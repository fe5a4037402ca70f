// What gc::make and its like need of the library.
#pragma once

#include <algorithm>
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

/// Puts the address of new memory into *to: a managed_word that nobody else reads, so that it is
/// kept from the first instant. Zeroed, but `plain` memory only if `zeroed`. `alignment` at most
/// 2 MiB. May wait for the collector, in place: the caller's locks stay its own. Throws
/// std::bad_alloc if there is none after a collection. Any thread.
void allocate(std::uintptr_t* to, std::size_t bytes, std::size_t alignment, kind of, bool zeroed);

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
