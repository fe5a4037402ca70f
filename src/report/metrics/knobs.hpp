// What the environment says of garbage collection, which nothing heeds yet.
#pragma once

#include <cstdint>

namespace gort::report {

/// GOGC; 2^64 - 1 if it is off.
std::uint64_t gc_percent() noexcept;
/// GOMEMLIMIT; 2^63 - 1 if there is none.
std::uint64_t memory_limit() noexcept;
/// Before the first collection.
std::uint64_t heap_goal() noexcept;

}  // namespace gort::report
