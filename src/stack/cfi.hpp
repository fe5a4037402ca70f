// Call frame information, read where nothing may be taken on trust.
//
// Problem: the stack of a thread that sleeps in a library's call can be read, but of its registers
// only the stack pointer and the program counter are known, and it may wake up at any moment. The
// C++ runtime's unwinder cannot be told that a register is unknown, and follows whatever it reads.
// And in a signal handler that unwinder may wait for a lock that the interrupted code holds: a
// program that registers frames of its own (a just-in-time compiler) makes it take one.
//
// Invariants
//   [cfi-1] Every word of the stack is read within the bounds given, and nothing that was read is
//           followed without being checked against them.
//   [cfi-2] Code and its tables are read only where the dynamic linker knows them as such.
//   [cfi-3] Nothing here locks or allocates: the linker's own index is asked (os/loaded.hpp), and
//           the tables are searched here. Before glibc 2.35 there is no such index: then the C++
//           runtime is asked, which may lock, and who must not wait asks finds_without_lock().
#pragma once

#include <cstddef>
#include <cstdint>

#include "arch/frame.hpp"

namespace gort::stack {

/// The part of a stack that may be read.
struct stack_bounds {
  std::uintptr_t low = 0;
  std::uintptr_t high = 0;
  bool holds(std::uintptr_t address, std::size_t bytes = sizeof(std::uintptr_t)) const noexcept {
    return address >= low && address < high && high - address >= bytes;
  }
};

/// One function's registers, as far as they are known.
struct frame_state {
  std::uintptr_t pc = 0;
  bool is_return_address = false;  // pc: the call lies before it
  std::uintptr_t values[arch::frame_registers] = {};
  bool known[arch::frame_registers] = {};

  void set(unsigned which, std::uintptr_t value) noexcept {
    values[which] = value;
    known[which] = true;
  }
  std::uintptr_t sp() const noexcept { return values[arch::dwarf_stack_pointer]; }
};

enum class step_result : std::uint8_t {
  done,                 // now the caller's
  end,                  // this is the outermost frame
  needs_frame_pointer,  // which is unknown; nothing has changed
  no_information,       // about a register that is needed
  nonsense,             // what was read leads nowhere
};

/// Where the caller's registers are, at one instruction.
struct caller_rules {
  struct rule {
    enum class how : std::uint8_t {
      same,
      undefined,
      at,
      value,
      other,
      expression,
      value_expression
    };
    how is = how::same;
    std::int64_t n = 0;  // offset from the frame's address, or a register
    const unsigned char* block = nullptr;
  };
  unsigned base = 0;  // the frame's address: a register and an offset, or
  std::int64_t offset = 0;
  const unsigned char* block = nullptr;  // an expression
  rule rules[arch::frame_registers];
  bool signal_frame = false;

  void set(std::uint64_t which, rule::how how, std::int64_t n,
           const unsigned char* block_of = nullptr) noexcept {
    if (which < arch::frame_registers) rules[which] = {how, n, block_of};
  }
};

/// False: find_rules() and function_begin() may wait for a lock [cfi-3].
bool finds_without_lock() noexcept;

/// False: there is no information about the code at `at.pc`.
bool find_rules(const frame_state& at, caller_rules& found) noexcept;

/// From a frame to that of its caller.
step_result step(frame_state& at, const caller_rules& by, const stack_bounds& bounds) noexcept;

/// Where the function begins that `code` belongs to; 0: not known as code.
std::uintptr_t function_begin(std::uintptr_t code) noexcept;

/// A word of a stack; it lies within the bounds.
std::uintptr_t stack_word(std::uintptr_t address) noexcept;

}  // namespace gort::stack
