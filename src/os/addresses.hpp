// Address space that becomes memory piece by piece.
#pragma once

#include <cstddef>

namespace gort::os {

/// Reserves addresses that nobody can touch, which the kernel counts as no memory (also with
/// vm.overcommit_memory=2) and which do not show as writable. Never in huge pages. Null when the
/// kernel refuses; errno says why. Given up by unreserve(). src/os/memory.cpp
void* reserve_addresses(std::size_t bytes) noexcept;

/// Makes whole pages of them memory, zero. False: there is none.
bool open_addresses(void* address, std::size_t bytes) noexcept;

}  // namespace gort::os
