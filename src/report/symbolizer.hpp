// From a code address to functions, files and lines.
//
// Lines and inlined calls are read by report/dwarf/, without malloc and without locks that a
// stopped thread could hold; names of functions that have their own code by libbacktrace, from the
// table of symbols, and whatever report/dwarf/ does not read. Where libbacktrace is missing, or an
// object was loaded after its first use, the exported functions at least are known
// (os/loaded.hpp). What has been loaded since is found once somebody says that it may wait
// (refresh_symbols()).
#pragma once

#include <cstddef>
#include <cstdint>

namespace gort::report {

struct symbol {
  const char* function;  // demangled, without parameters; "??" if unknown; valid during the call
  const char* file;      // null if unknown
  int line;
  std::uintptr_t offset;  // from the function's start; 0 if unknown
  bool inlined;           // into the next symbol of the same address
  const char* outermost;  // the last symbol's function
  const char* linker_name =
      nullptr;  // as debug information or the symbol table has it; null if unknown
};

/// Calls f for the function at `pc`, innermost inlined call first. A return address must be given
/// as it is: the call before it is looked up.
void symbolize(const void* return_address, void (*f)(const symbol&, void*),
               void* argument) noexcept;

/// The name of the variable that lies there, in full, cut to `room`. False: no table of symbols
/// tells. Not in crash reports.
bool name_variable(std::uintptr_t address, char* to, std::size_t room) noexcept;

/// The tables of symbols of what was loaded or unloaded since the last look count from now on.
/// Takes the dynamic linker's lock, and memory that is not given back: after 32 changes the newest
/// objects have exported functions only. Not for crash reports.
void refresh_symbols() noexcept;

/// From now on names stay as the linker knows them: demangling calls malloc, which the interrupted
/// code may be inside of.
void use_linker_names(bool yes) noexcept;

}  // namespace gort::report
