// Reading in bytes that may be anything: nothing behind their end is looked at. After the first
// attempt to, all answers are 0, and failed() says so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace gort::report::dwarf {

using bytes = std::span<const unsigned char>;

/// What lies from `offset` on; empty if that is behind the end.
inline bytes from(bytes all, std::uint64_t offset) noexcept {
  return offset < all.size() ? all.subspan(static_cast<std::size_t>(offset)) : bytes{};
}

/// The text at `offset`; null if it has no end.
inline const char* text_at(bytes all, std::uint64_t offset) noexcept {
  const bytes rest = from(all, offset);
  if (rest.empty() || std::memchr(rest.data(), 0, rest.size()) == nullptr) return nullptr;
  return reinterpret_cast<const char*>(rest.data());
}

class cursor {
 public:
  cursor() noexcept = default;
  explicit cursor(bytes all) noexcept : at_(all.data()), end_(all.data() + all.size()) {}

  bool failed() const noexcept { return failed_; }
  bool at_end() const noexcept { return at_ == end_; }
  const unsigned char* at() const noexcept { return at_; }
  std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }

  template <class T>
  T fixed() noexcept {
    T value{};
    if (!has(sizeof(T))) return value;
    std::memcpy(&value, at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }
  std::uint8_t u8() noexcept { return fixed<std::uint8_t>(); }
  std::uint16_t u16() noexcept { return fixed<std::uint16_t>(); }
  std::uint32_t u32() noexcept { return fixed<std::uint32_t>(); }
  std::uint64_t u64() noexcept { return fixed<std::uint64_t>(); }
  /// An offset, of four or eight bytes.
  std::uint64_t offset(bool wide) noexcept { return wide ? u64() : u32(); }
  /// A number of 1, 2, 3, 4 or 8 bytes; of other sizes the cursor fails.
  std::uint64_t sized(std::uint64_t size) noexcept {
    switch (size) {
      case 1: return u8();
      case 2: return u16();
      case 3: {
        const std::uint64_t low = u16();
        return low | static_cast<std::uint64_t>(u8()) << 16;
      }
      case 4: return u32();
      case 8: return u64();
      default: fail(); return 0;
    }
  }

  std::uint64_t uleb() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const std::uint8_t byte = u8();
      if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7fu) << shift;
      if ((byte & 0x80u) == 0) return value;
    }
  }
  std::int64_t sleb() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0;;) {
      const std::uint8_t byte = u8();
      if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7fu) << shift;
      shift += 7;
      if ((byte & 0x80u) != 0) continue;
      if (shift < 64 && (byte & 0x40u) != 0) value |= ~std::uint64_t{0} << shift;
      return static_cast<std::int64_t>(value);
    }
  }

  /// Up to a zero, over which the cursor goes. Null when it fails.
  const char* text() noexcept {
    const void* zero = failed_ || at_end() ? nullptr : std::memchr(at_, 0, left());
    if (zero == nullptr) {
      fail();
      return nullptr;
    }
    const auto* begin = reinterpret_cast<const char*>(at_);
    at_ = static_cast<const unsigned char*>(zero) + 1;
    return begin;
  }

  void skip(std::uint64_t count) noexcept {
    if (has(count)) at_ += count;
  }
  /// The next `count` bytes, over which the cursor goes; empty when it fails.
  bytes take(std::uint64_t count) noexcept {
    const unsigned char* begin = at_;
    skip(count);
    return failed_ ? bytes{} : bytes{begin, at_};
  }
  void fail() noexcept {
    failed_ = true;
    at_ = end_;
  }

 private:
  bool has(std::uint64_t count) noexcept {
    if (count <= left()) return true;
    fail();
    return false;
  }

  const unsigned char* at_ = nullptr;
  const unsigned char* end_ = nullptr;
  bool failed_ = false;
};

}  // namespace gort::report::dwarf
