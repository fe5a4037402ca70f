// What reading the call frame information of foreign code needs to know of the architecture:
// DWARF's numbers of the registers that hold a frame together, and what a call instruction looks
// like.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gort::arch {

#if defined(__x86_64__)
constexpr unsigned frame_registers = 17;  // 0 .. 15, and the column of the return address
constexpr unsigned dwarf_frame_pointer = 6;
constexpr unsigned dwarf_stack_pointer = 7;
constexpr unsigned dwarf_return_address = 16;
#elif defined(__aarch64__)
constexpr unsigned frame_registers = 32;
constexpr unsigned dwarf_frame_pointer = 29;
constexpr unsigned dwarf_stack_pointer = 31;
constexpr unsigned dwarf_return_address = 30;
#else
#error "gort: no frames for this architecture; see src/arch"
#endif

/// A return address without the bits by which the processor has signed it.
inline std::uintptr_t plain_code_address(std::uintptr_t address) noexcept {
#if defined(__aarch64__)
  constexpr unsigned address_bits = 48;
  return address & ((std::uintptr_t{1} << address_bits) - 1);
#else
  return address;
#endif
}

/// The same in as few bits as there are: such addresses of user space have no more than 47.
constexpr std::uint64_t dense_code_address(std::uintptr_t address) noexcept {
#if defined(__aarch64__)
  constexpr unsigned instruction_bits = 2;
  return address >> instruction_bits;
#else
  return address;
#endif
}

/// What the frame pointer points at (the caller's, and the return address) ends its frame: then a
/// chain of frame pointers tells the stack pointers, too.
#if defined(__aarch64__)
constexpr bool frame_pointer_ends_frame = false;
#else
constexpr bool frame_pointer_ends_frame = true;
#endif

/// Where a frame that ends at `end` keeps its return address, if it keeps its caller's frame
/// pointer at `caller`: x86 calls push it, arm64 stores the two side by side.
constexpr std::uintptr_t return_address_place([[maybe_unused]] std::uintptr_t end,
                                              [[maybe_unused]] std::uintptr_t caller) noexcept {
#if defined(__aarch64__)
  return caller + sizeof(std::uintptr_t);
#else
  return end - sizeof(std::uintptr_t);
#endif
}
/// The same as an offset from the frame's end.
constexpr std::int64_t return_address_offset(std::int64_t caller) noexcept {
  return static_cast<std::int64_t>(return_address_place(0, static_cast<std::uintptr_t>(caller)));
}

/// The instruction that ends at `return_address`, of code that begins at `begin` or before.
struct call_site {
  bool is_call = false;
  std::uintptr_t target = 0;  // 0: a call through a register or a word of memory
};
call_site call_before(std::uintptr_t return_address, std::uintptr_t begin) noexcept;

/// The word of memory through which a stub of the linker at `code` jumps; 0: that is no stub.
std::uintptr_t stub_slot(std::uintptr_t code) noexcept;

}  // namespace gort::arch
