// Sizes of managed objects in the buckets of Go's histograms.
#pragma once

#include <cstdint>
#include <span>

namespace gort::report {

/// To zeros, one for each of record::size_bounds' buckets. Any thread.
void add_allocated_sizes(std::span<std::uint64_t> to) noexcept;
void add_freed_sizes(std::span<std::uint64_t> to) noexcept;

}  // namespace gort::report
