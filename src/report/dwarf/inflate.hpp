// Sections that the compiler or the packager has compressed.
#pragma once

#include "report/dwarf/cursor.hpp"

namespace gort::report::dwarf {

/// What such a section holds, in memory of its own that stays. Empty: it is broken, of a kind other
/// than zlib's, or there is no libbacktrace, whose reader of them this is.
bytes inflate(bytes section) noexcept;

}  // namespace gort::report::dwarf
