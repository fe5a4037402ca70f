// An array in memory of its own, for who must not call malloc: somebody who stands still may be in
// the middle of it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "os/memory.hpp"
#include "os/own_memory.hpp"

namespace gort::report {

/// Of trivial things.
template <class T>
class reserved_table {
 public:
  reserved_table() noexcept = default;
  reserved_table(const reserved_table&) = delete;
  reserved_table& operator=(const reserved_table&) = delete;
  ~reserved_table() {
    if (data_ != nullptr) os::unreserve(data_, room_ * sizeof(T));
  }

  /// Once. False: there is no memory, and no room.
  bool make_room(std::size_t count) noexcept {
    count = std::max<std::size_t>(count, 1);
    data_ = static_cast<T*>(os::reserve(count * sizeof(T)));
    if (data_ == nullptr) return false;
    room_ = count;
    return true;
  }
  /// False: there is no room.
  bool add(const T& one) noexcept {
    if (size_ == room_) return false;
    data_[size_++] = one;
    return true;
  }

  T* begin() const noexcept { return data_; }
  T* end() const noexcept { return data_ + size_; }
  std::size_t size() const noexcept { return size_; }
  T& operator[](std::size_t n) const noexcept { return data_[n]; }

  os::memory_range memory() const noexcept {
    const auto low = reinterpret_cast<std::uintptr_t>(data_);
    return {low, low + room_ * sizeof(T)};
  }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t room_ = 0;
};

}  // namespace gort::report
