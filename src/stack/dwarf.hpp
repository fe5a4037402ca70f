// What call frame information is written in: numbers of variable length, and expressions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace gort::stack {

struct frame_state;
struct stack_bounds;

/// Reads from a table of the program; past its end everything is 0 and `ok` is false.
class dwarf_reader {
 public:
  dwarf_reader(const unsigned char* at, const unsigned char* end) noexcept : at_(at), end_(end) {}

  bool at_end() const noexcept { return at_ >= end_; }
  bool ok() const noexcept { return ok_; }
  const unsigned char* at() const noexcept { return at_; }
  std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }

  template <class T>
  T fixed() noexcept {
    T value{};
    if (left() < sizeof(T)) {
      give_up();
    } else {
      std::memcpy(&value, at_, sizeof(T));
      at_ += sizeof(T);
    }
    return value;
  }
  std::uint8_t byte() noexcept { return fixed<std::uint8_t>(); }
  std::uint64_t unsigned_leb() noexcept {
    unsigned shift;
    return leb(shift);
  }
  std::int64_t signed_leb() noexcept {
    unsigned shift;
    const std::uint64_t value = leb(shift);
    const bool negative = shift < 64 && (value >> (shift - 1) & 1) != 0;
    return static_cast<std::int64_t>(negative ? value | ~std::uint64_t{0} << shift : value);
  }
  void skip(std::uint64_t bytes) noexcept {
    if (left() < bytes)
      give_up();
    else
      at_ += bytes;
  }
  void give_up() noexcept {
    ok_ = false;
    at_ = end_;
  }

 private:
  std::uint64_t leb(unsigned& shift) noexcept {
    std::uint64_t value = 0;
    shift = 0;
    for (std::uint8_t part = 0x80; (part & 0x80) != 0 && ok_; shift += 7) {
      part = byte();
      if (shift < 64) value |= std::uint64_t{part & 0x7fu} << shift;
    }
    return value;
  }

  const unsigned char* at_;
  const unsigned char* end_;
  bool ok_ = true;
};

enum class evaluated : std::uint8_t { done, needs_frame_pointer, no };

/// A DW_FORM_block expression (its length comes first) over a frame's registers. With `start_with`
/// that is on the stack at first.
evaluated evaluate(const unsigned char* block, const frame_state& at, const stack_bounds& bounds,
                   const std::uint64_t* start_with, std::uint64_t& result) noexcept;

}  // namespace gort::stack
