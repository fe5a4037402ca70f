// Goroutines that nobody will ever wake; see leaks.cpp.
#pragma once

#include <cstddef>

namespace gort::report {

/// Looks for them, which stops the world, and marks them, for dumps and profiles. Returns how many
/// there are. Milliseconds, and a second for each few gigabytes of memory where some are suspected;
/// where the managed heap is in use, a collection around it. Parks. Not inside gort.
std::size_t find_leaks() noexcept;

/// How many the last search has found. Any thread.
std::size_t leaks_found() noexcept;

}  // namespace gort::report
