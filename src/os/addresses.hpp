// Address space that becomes memory piece by piece.
#pragma once

#include <cstddef>

namespace gort::os {

/// Reserves addresses that nobody can touch, which the kernel counts as no memory (also with
/// vm.overcommit_memory=2) and which do not show as writable. Never in huge pages. Null when the
/// kernel refuses; errno says why. Given up by unreserve(). src/os/memory.cpp
void* reserve_addresses(std::size_t bytes) noexcept;

/// RLIMIT_AS; the largest number: none. src/os/memory.cpp
std::size_t address_limit() noexcept;
/// What it leaves to be mapped; likewise. Reads a file, allocates nothing.
std::size_t addresses_left() noexcept;

/// Makes whole pages of them memory, zero. False: there is none.
bool open_addresses(void* address, std::size_t bytes) noexcept;

}  // namespace gort::os
