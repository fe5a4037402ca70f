// What debug information says of an address.
#pragma once

#include <cstdint>

namespace gort::report::dwarf {

enum class known : std::uint8_t {
  all,
  but_names,  // some function's is missing, perhaps because it is in a file that is not read
  in_doubt,   // there are several lines, or a file, which may be another build's
  nothing,
  no_debug_information,  // whoever looks
};

/// The function and what it is inlined into, or, in the outer ones, where that is called. The
/// function is null if its name is not known, the file likewise; the texts stay.
using reader = void (*)(const char* function, const char* file, int line, void* argument);

/// Calls f for the function that `pc` is in, innermost inlined call first; not if the line is in
/// doubt or not known. From any thread, in crash reports too: takes no lock, no malloc. Reads files
/// the first time.
known look_up(std::uintptr_t pc, reader f, void* argument) noexcept;

struct symbol_found {
  const char* name = nullptr;  // as the linker has it; stays
  std::uintptr_t begin = 0;
};
/// The function or variable that the address is in, by the table of symbols of the file, or of the
/// one with its debug information. False: none is known, or on older systems. As look_up().
bool find_symbol(std::uintptr_t address, symbol_found& found) noexcept;

/// Whether others who open the file that holds `pc` by its name find what is loaded. False on older
/// systems. A system call.
bool file_is_in_place(std::uintptr_t pc) noexcept;

}  // namespace gort::report::dwarf
