// From a code address to functions, files and lines.
//
// Lines, inlined calls and tables of symbols are read by report/dwarf/, without malloc and without
// locks that a stopped thread could hold, from files that are known to be what is loaded. Debug
// information that it does not read libbacktrace is asked for, as long as the file is still there;
// of objects that were loaded after its first use, once somebody says that it may wait
// (refresh_symbols()). Where a file is gone, or another has its place, the exported functions are
// known (os/loaded.hpp). On older systems (before glibc 2.35) all is libbacktrace's.
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
      nullptr;  // as debug information or the symbol table has it; likewise; null if unknown
};

/// Calls f for the function at `pc`, innermost inlined call first. A return address must be given
/// as it is: the call before it is looked up.
void symbolize(const void* return_address, void (*f)(const symbol&, void*),
               void* argument) noexcept;

/// The name of the variable that lies there, in full, cut to `room`. False: no table of symbols
/// tells. Not in crash reports.
bool name_variable(std::uintptr_t address, char* to, std::size_t room) noexcept;

/// What was loaded or unloaded since the last look is known to libbacktrace from now on. Takes the
/// dynamic linker's lock, and memory that is not given back: after 32 changes the newest objects
/// are not. Not for crash reports.
void refresh_symbols() noexcept;

/// From now on names stay as the linker knows them: demangling calls malloc, which the interrupted
/// code may be inside of.
void use_linker_names(bool yes) noexcept;

}  // namespace gort::report
