// A second reader of debug information, for what the first one, libbacktrace, does not find.
#pragma once

#include <cstdint>

namespace gort::report::dwarf {

/// Calls f(function, file, line, argument) for the function that `pc` is in, innermost inlined call
/// first. The function is null if its name is not known; the texts stay. False, and no call: no
/// line is known. From any thread, in crash reports too: takes no lock, no malloc. Reads files the
/// first time.
bool look_up(std::uintptr_t pc, void (*f)(const char* function, const char* file, int line, void*),
             void* argument) noexcept;

}  // namespace gort::report::dwarf
