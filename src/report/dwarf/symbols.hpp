// The table of symbols of one file: what functions and variables are called by the linker.
#pragma once

#include <cstddef>
#include <cstdint>

#include "report/dwarf/cursor.hpp"
#include "report/dwarf/memory.hpp"

namespace gort::report::dwarf {

struct symbol_entry {
  const char* name = nullptr;  // null: none is known
  std::uint64_t begin = 0;     // as the object counts
};

class symbols {
 public:
  /// Reads them, once: a section of symbols, and the one of their names.
  void read(bytes section, bytes names) noexcept;
  symbol_entry find(std::uint64_t address) const noexcept;

 private:
  struct entry;
  entry at(std::uint32_t index) const noexcept;

  bytes section_;
  bytes names_;
  table<std::uint32_t> by_address_;  // of several of one address the best name is last
};

}  // namespace gort::report::dwarf
