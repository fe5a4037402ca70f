// From a code address to functions, files and lines.
//
// libbacktrace reads the program's own debug information, inlined calls included, without malloc
// and without locks that a stopped thread could hold. Where it is missing, dladdr(3) knows the
// exported functions at least.
#pragma once

#include <cstdint>

namespace gort::report {

struct symbol {
  const char* function;  // demangled, without parameters; "??" if unknown; valid during the call
  const char* file;      // null if unknown
  int line;
  std::uintptr_t offset;  // from the function's start; 0 if unknown
  bool inlined;           // into the next symbol of the same address
};

/// Calls f for the function at `pc`, innermost inlined call first. A return address must be given
/// as it is: the call before it is looked up.
void symbolize(const void* return_address, void (*f)(const symbol&, void*),
               void* argument) noexcept;

/// From now on names stay as the linker knows them: demangling calls malloc, which the interrupted
/// code may be inside of.
void use_linker_names(bool yes) noexcept;

/// Removes the parameter list and what follows it, in place: "a::f(int) const" becomes "a::f".
void strip_parameters(char* name) noexcept;

/// True for frames that a user does not want to see: gort's own, the C++ runtime's.
bool is_internal(const symbol& s) noexcept;

/// The first symbol of a creation site for which this holds is who started the goroutine. Starting
/// through a member of the library (wait_group::go): the caller is meant.
bool is_creator(const symbol& s) noexcept;

}  // namespace gort::report
