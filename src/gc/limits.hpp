// What statistics show of limits: the one on memory, and the one on the collector's CPU time.
#pragma once

#include <cstdint>

namespace gort::managed {

/// GOMEMLIMIT, which nothing heeds yet; 2^63 - 1: none.
std::uint64_t memory_limit_for_statistics() noexcept;
/// The number of the last cycle in which the collector's CPU time was limited; 0: none, for there
/// is no such limit yet.
std::uint64_t last_limited_cycle_for_statistics() noexcept;
/// Bytes of free pages that the system has back now.
std::uint64_t released_bytes_for_statistics() noexcept;

}  // namespace gort::managed
