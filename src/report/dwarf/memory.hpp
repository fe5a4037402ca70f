// Tables that live as long as the process, without malloc: reserved for the most that there can be,
// which costs nothing, then cut to what is in them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <utility>

#include "os/memory.hpp"

namespace gort::report::dwarf {

/// Of elements without a destructor. A full table takes no more.
template <class T>
class table {
 public:
  table() noexcept = default;
  ~table() { cut_to(0); }
  table(table&& other) noexcept
      : begin_(std::exchange(other.begin_, nullptr)),
        room_(std::exchange(other.room_, 0)),
        size_(std::exchange(other.size_, 0)) {}
  table& operator=(table&& other) noexcept {
    std::swap(begin_, other.begin_);
    std::swap(room_, other.room_);
    std::swap(size_, other.size_);
    return *this;
  }

  /// False: the kernel refuses. Once.
  bool reserve(std::uint64_t count) noexcept {
    constexpr std::uint64_t bytes_max = std::uint64_t{1} << 36;
    if (count == 0) return true;
    if (count > bytes_max / sizeof(T)) return false;
    void* memory = os::reserve(bytes_of(static_cast<std::size_t>(count)));
    if (memory == nullptr) return false;
    begin_ = static_cast<T*>(memory);
    room_ = static_cast<std::size_t>(count);
    return true;
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
  /// No more will come: gives back what is not used.
  void finish() noexcept { cut_to(size_); }

  std::span<T> all() const noexcept { return {begin_, size_}; }
  std::size_t size() const noexcept { return size_; }
  T& operator[](std::size_t n) const noexcept { return begin_[n]; }

 private:
  static std::size_t bytes_of(std::size_t count) noexcept {
    return (count * sizeof(T) + os::page_bytes - 1) & ~(os::page_bytes - 1);
  }
  void cut_to(std::size_t count) noexcept {
    const std::size_t before = bytes_of(room_), after = bytes_of(count);
    if (after < before) os::unreserve(reinterpret_cast<char*>(begin_) + after, before - after);
    room_ = count;
  }

  T* begin_ = nullptr;
  std::size_t room_ = 0;
  std::size_t size_ = 0;
};

/// One object likewise. Null: the kernel refuses.
template <class T, class... Arguments>
T* make(Arguments&&... arguments) noexcept {
  void* memory = os::reserve(sizeof(T));
  return memory == nullptr ? nullptr : new (memory) T(std::forward<Arguments>(arguments)...);
}
template <class T>
void unmake(T* made) noexcept {
  made->~T();
  os::unreserve(made, sizeof(T));
}

}  // namespace gort::report::dwarf
