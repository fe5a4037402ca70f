// What debug information says of an address.
#pragma once

#include <cstdint>

namespace gort::report::dwarf {

enum class known : std::uint8_t {
  all,
  but_names,  // some function's is missing, perhaps because it is in a file that is not read
  in_doubt,   // there are several lines, or a file, which may be another build's
  nothing,
};

/// The function and what it is inlined into, or, in the outer ones, where that is called. The
/// function is null if its name is not known, the file likewise; the texts stay.
using reader = void (*)(const char* function, const char* file, int line, void* argument);

/// Calls f for the function that `pc` is in, innermost inlined call first; not if the line is in
/// doubt or not known. From any thread, in crash reports too: takes no lock, no malloc. Reads files
/// the first time.
known look_up(std::uintptr_t pc, reader f, void* argument) noexcept;

}  // namespace gort::report::dwarf
