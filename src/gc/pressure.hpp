// Telling the program that its memory limit is near; see pressure.cpp.
#pragma once

#include <cstdint>

namespace gort::managed {

/// The collector, after a cycle or a look at other memory: starts the callbacks if it is time.
void tell_of_pressure() noexcept;

/// Where malloc is counted and there is a limit: has the collector look when malloc has handed out
/// so much more that there may be something to do.
void watch_malloc() noexcept;

/// Of the limit: from here on it is near.
constexpr std::uint64_t near(std::uint64_t limit) noexcept { return limit / 100 * 90; }

}  // namespace gort::managed
