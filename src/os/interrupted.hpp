// Where a signal has interrupted its thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "os/own_memory.hpp"

namespace gort::os {

struct interrupted_place {
  static constexpr std::size_t registers_max = 32;
  std::uintptr_t pc = 0;
  std::size_t count = 0;
  std::uintptr_t registers[registers_max] = {};  // by DWARF's numbers, the stack pointer included
};

/// By the third argument of a signal's handler.
interrupted_place place_interrupted(const void* context) noexcept;

/// Where the kernel has put the registers, and all above that on the alternate stack, where the
/// handler runs: what it has interrupted may be another handler.
memory_range kept_of_interrupted(const void* context) noexcept;

/// What is left of the stack on which the calling handler runs, if that is the alternate one; else
/// the largest number.
std::size_t room_on_signal_stack(const void* context) noexcept;

/// Before the handler of a signal that nobody must notice returns: a call that it has interrupted
/// is made again, or goes on. Changes errno.
void restart_interrupted_call(void* context) noexcept;

}  // namespace gort::os
