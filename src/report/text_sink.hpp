// Where reports write: into memory that somebody else owns, to a file descriptor through a small
// buffer, or to a function likewise. Allocates nothing.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "os/write.hpp"

namespace gort::report {

class text_sink {
 public:
  explicit text_sink(std::span<char> room) noexcept : room_(room) {}
  explicit text_sink(int fd) noexcept : room_(buffer_), fd_(fd) {}
  /// write(argument, piece) is called with one piece after the other until it returns false.
  text_sink(bool (*write)(void*, std::string_view), void* argument) noexcept
      : room_(buffer_), write_(write), argument_(argument) {}
  ~text_sink() { flush(); }
  text_sink(const text_sink&) = delete;
  text_sink& operator=(const text_sink&) = delete;

  text_sink& operator<<(std::string_view text) noexcept {
    while (!text.empty()) {
      if (used_ == room_.size()) {
        if (fd_ < 0 && write_ == nullptr) return *this;  // cut
        flush();
      }
      const std::size_t room = room_.size() - used_;
      const std::size_t part = text.size() < room ? text.size() : room;
      std::memcpy(room_.data() + used_, text.data(), part);
      used_ += part;
      text.remove_prefix(part);
    }
    return *this;
  }
  text_sink& operator<<(std::uint64_t n) noexcept { return number(n, 10); }
  text_sink& hex(std::uint64_t n) noexcept {
    *this << "0x";
    return number(n, 16);
  }
  text_sink& hex(const void* p) noexcept { return hex(reinterpret_cast<std::uintptr_t>(p)); }

  std::size_t used() const noexcept { return used_; }
  /// Nobody wants the rest.
  bool closed() const noexcept { return closed_; }
  /// All that came through, flushed or not.
  std::uint64_t written() const noexcept { return flushed_ + used_; }

  void flush() noexcept {
    if (write_ != nullptr)
      closed_ = closed_ || (used_ != 0 && !write_(argument_, {room_.data(), used_}));
    else if (fd_ >= 0)
      os::write_all(fd_, room_.data(), used_);
    else
      return;
    flushed_ += used_;
    used_ = 0;
  }

 private:
  text_sink& number(std::uint64_t n, int base) noexcept {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof(digits), n, base).ptr;
    return *this << std::string_view(digits, static_cast<std::size_t>(end - digits));
  }

  char buffer_[2048] = {};
  std::span<char> room_;
  std::size_t used_ = 0;
  std::uint64_t flushed_ = 0;
  int fd_ = -1;
  bool (*write_)(void*, std::string_view) = nullptr;
  void* argument_ = nullptr;
  bool closed_ = false;
};

}  // namespace gort::report
