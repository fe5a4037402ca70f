// Tables that live as long as the process, without malloc: made where there is room for the most
// that there can be, which costs nothing, then cut to what is in them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <utility>

#include "os/memory.hpp"

namespace gort::report::dwarf {

/// Zeros that stay, for words and less. Many small pieces share a mapping, of which a process can
/// have only so many. Null: the kernel refuses.
void* keep(std::size_t bytes) noexcept;
constexpr std::size_t kept_bytes_max = std::size_t{64} << 10;  // of one piece

/// Of trivial elements. A full table takes no more.
template <class T>
class table {
 public:
  table() noexcept = default;
  ~table() { give_back(); }
  table(const table&) = delete;
  table& operator=(const table&) = delete;

  /// Room for `count` elements or fewer. False: the kernel refuses. Once.
  bool reserve(std::uint64_t count) noexcept {
    constexpr std::uint64_t bytes_max = std::uint64_t{1} << 36;
    if (count == 0) return true;
    if (count > bytes_max / sizeof(T)) return false;
    return take(os::reserve(bytes_of(static_cast<std::size_t>(count))), count, true);
  }
  /// The same where it will be full: then elements do not move.
  bool reserve_exactly(std::uint64_t count) noexcept {
    if (count == 0 || count > kept_bytes_max / sizeof(T)) return reserve(count);
    return take(keep(static_cast<std::size_t>(count) * sizeof(T)), count, false);
  }
  bool push(const T& value) noexcept {
    if (size_ == room_) return false;
    begin_[size_++] = value;
    return true;
  }
  /// One more, as its constructor without arguments makes it.
  bool push_new() noexcept {
    if (size_ == room_) return false;
    new (begin_ + size_++) T();
    return true;
  }
  /// No more will come: gives back what is not used. Elements move.
  void finish() noexcept {
    if (!is_mapping_) return;
    const std::size_t used = size_ * sizeof(T);
    if (void* kept = used == 0 || used > kept_bytes_max ? nullptr : keep(used); kept != nullptr) {
      std::memcpy(kept, begin_, used);
      give_back();
      take(kept, size_, false);
      return;
    }
    const std::size_t before = bytes_of(room_), after = bytes_of(size_);
    if (after < before) os::unreserve(reinterpret_cast<char*>(begin_) + after, before - after);
    room_ = size_;
  }

  std::span<T> all() const noexcept { return {begin_, size_}; }
  std::size_t size() const noexcept { return size_; }
  T& operator[](std::size_t n) const noexcept { return begin_[n]; }

 private:
  static std::size_t bytes_of(std::size_t count) noexcept {
    return (count * sizeof(T) + os::page_bytes - 1) & ~(os::page_bytes - 1);
  }
  bool take(void* memory, std::uint64_t count, bool is_mapping) noexcept {
    if (memory == nullptr) return false;
    begin_ = static_cast<T*>(memory);
    room_ = static_cast<std::size_t>(count);
    is_mapping_ = is_mapping;
    return true;
  }
  void give_back() noexcept {
    if (is_mapping_ && room_ != 0) os::unreserve(begin_, bytes_of(room_));
  }

  T* begin_ = nullptr;
  std::size_t room_ = 0;
  std::size_t size_ = 0;
  bool is_mapping_ = false;
};

/// An object that stays. Null: the kernel refuses.
template <class T, class... Arguments>
T* make(Arguments&&... arguments) noexcept {
  static_assert(alignof(T) <= alignof(std::uint64_t) && sizeof(T) <= kept_bytes_max);
  void* memory = keep(sizeof(T));
  return memory == nullptr ? nullptr : new (memory) T(std::forward<Arguments>(arguments)...);
}

}  // namespace gort::report::dwarf
