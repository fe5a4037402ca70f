// Paths, put together without malloc.
#pragma once

#include <climits>
#include <cstddef>
#include <string_view>

#include "report/dwarf/cursor.hpp"

namespace gort::report::dwarf {

/// Text that is cut where there is no more room.
class path_text {
 public:
  path_text& operator+=(std::string_view text) noexcept {
    size_ += text.copy(text_ + size_, sizeof(text_) - 1 - size_);
    text_[size_] = 0;
    return *this;
  }
  path_text& hexadecimal(bytes of) noexcept {
    constexpr std::string_view digits = "0123456789abcdef";
    for (const unsigned char each : of) {
      *this += digits.substr(each >> 4, 1);
      *this += digits.substr(each & 0xf, 1);
    }
    return *this;
  }
  const char* c_str() const noexcept { return text_; }

 private:
  char text_[PATH_MAX] = {};
  std::size_t size_ = 0;
};

}  // namespace gort::report::dwarf
