// A short text put together without stdio, for threads that must not allocate or lock.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gort::base {

/// What does not fit is dropped.
class short_text {
 public:
  short_text& operator<<(std::string_view part) noexcept {
    for (char c : part) {
      if (used_ + 1 < sizeof(text_)) text_[used_++] = c;
    }
    return *this;
  }
  short_text& operator<<(std::int64_t number) noexcept {
    char digits[24];
    const char* end = std::to_chars(digits, digits + sizeof(digits), number).ptr;
    return *this << std::string_view(digits, static_cast<std::size_t>(end - digits));
  }
  const char* c_str() const noexcept { return text_; }

 private:
  char text_[240] = {};
  std::size_t used_ = 0;
};

}  // namespace gort::base
