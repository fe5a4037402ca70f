#include <cstring>

#include "arch/frame.hpp"

namespace gort::arch {

call_site call_before(std::uintptr_t return_address, std::uintptr_t begin) noexcept {
  constexpr std::size_t bytes = 4;
  if (return_address % bytes != 0 || return_address - begin < bytes) return {};
  const std::uintptr_t at = return_address - bytes;
  std::uint32_t word;
  std::memcpy(&word, reinterpret_cast<const void*>(at), sizeof(word));
  if ((word & 0xfc000000u) == 0x94000000u) {  // bl: 26 bits of words
    const auto words = static_cast<std::int32_t>(word << 6) >> 6;
    return {true, at + static_cast<std::uintptr_t>(std::int64_t{words} * 4)};
  }
  const bool plain = (word & 0xfffffc1fu) == 0xd63f0000u;          // blr
  const bool authenticated = (word & 0xfefff800u) == 0xd63f0800u;  // blraa and kin
  return {plain || authenticated, 0};
}

// adrp x16, page; ldr x17, [x16, #offset]; ..., after an optional landing pad.
std::uintptr_t stub_slot(std::uintptr_t code) noexcept {
  std::uint32_t words[3];
  std::memcpy(words, reinterpret_cast<const void*>(code), sizeof(words));
  constexpr std::uint32_t landing_pad = 0xd503245fu;  // bti c
  const bool padded = words[0] == landing_pad;
  const std::uint32_t adrp = words[padded ? 1 : 0], ldr = words[padded ? 2 : 1];
  const std::uintptr_t at = code + (padded ? 4 : 0);
  if ((adrp & 0x9f00001fu) != 0x90000010u || (ldr & 0xffc003ffu) != 0xf9400211u) return 0;
  const std::uint32_t low = adrp >> 29 & 3u, high = adrp >> 5 & 0x7ffffu;
  const auto pages = static_cast<std::int32_t>((high << 2 | low) << 11) >> 11;
  constexpr std::uintptr_t page = 4096;
  return (at & ~(page - 1)) + static_cast<std::uintptr_t>(std::int64_t{pages} * 4096) +
         (ldr >> 10 & 0xfffu) * 8;
}

}  // namespace gort::arch
