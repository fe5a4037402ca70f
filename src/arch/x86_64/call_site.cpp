#include <cstring>

#include "arch/frame.hpp"

namespace gort::arch {

namespace {

std::int32_t displacement(const unsigned char* at) noexcept {
  std::int32_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

// How long `call r/m` is: opcode ff, the middle bits of the next byte 2. 0: that is none.
std::size_t indirect_call_bytes(const unsigned char* code, std::size_t room) noexcept {
  constexpr unsigned char opcode = 0xff;
  if (code[0] != opcode || (code[1] >> 3 & 7) != 2) return 0;
  const unsigned mode = code[1] >> 6;
  const unsigned base = code[1] & 7u;
  if (mode == 3) return 2;
  std::size_t bytes = 2;
  bool absolute = mode == 0 && base == 5;
  if (base == 4) {
    if (room <= bytes) return 0;
    absolute = mode == 0 && (code[bytes++] & 7u) == 5;
  }
  if (mode == 1) return bytes + 1;
  return mode == 2 || absolute ? bytes + sizeof(std::int32_t) : bytes;
}

}  // namespace

call_site call_before(std::uintptr_t return_address, std::uintptr_t begin) noexcept {
  const auto* end = reinterpret_cast<const unsigned char*>(return_address);
  constexpr std::size_t direct_bytes = 5;
  constexpr unsigned char direct_opcode = 0xe8;
  const std::size_t there = return_address - begin;
  if (there >= direct_bytes && end[-5] == direct_opcode)
    return {true, return_address + static_cast<std::uintptr_t>(displacement(end - 4))};
  constexpr std::size_t indirect_bytes_max = 7;
  for (std::size_t bytes = 2; bytes <= indirect_bytes_max && bytes <= there; ++bytes) {
    if (indirect_call_bytes(end - bytes, bytes) == bytes) return {true, 0};
  }
  return {};
}

std::uintptr_t stub_slot(std::uintptr_t code) noexcept {
  const auto* at = reinterpret_cast<const unsigned char*>(code);
  constexpr unsigned char landing_pad[] = {0xf3, 0x0f, 0x1e, 0xfa};
  if (std::memcmp(at, landing_pad, sizeof(landing_pad)) == 0) at += sizeof(landing_pad);
  constexpr unsigned char bound = 0xf2;
  if (*at == bound) ++at;
  constexpr unsigned char jump[] = {0xff, 0x25};
  if (std::memcmp(at, jump, sizeof(jump)) != 0) return 0;
  at += sizeof(jump);
  return reinterpret_cast<std::uintptr_t>(at + sizeof(std::int32_t) + displacement(at));
}

}  // namespace gort::arch
