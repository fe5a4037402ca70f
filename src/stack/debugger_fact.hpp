// What a debugger must know of our structures where it has no debug information of them, or only a
// core: tables of names with a number or an address, ended by a null name. tools/gdb/gort.py reads
// them; each stands beside what it describes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gort::stack {

struct debugger_fact {
  const char* name = nullptr;
  const void* address = nullptr;
  std::uint64_t number = 0;
};

}  // namespace gort::stack
