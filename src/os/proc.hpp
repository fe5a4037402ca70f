// Facts about this process from /proc.
#pragma once

#include <cstdint>

namespace gort::os {

/// Threads of this process; -1 if /proc cannot be read. Allocates nothing.
int thread_count() noexcept;

/// A line of /proc/self/status in bytes ("VmRSS:", "VmPTE:"); -1 if absent.
std::int64_t status_bytes(const char* key) noexcept;

/// Mappings of this process, and how many the kernel allows (vm.max_map_count); -1 if /proc cannot
/// be read. Counting takes milliseconds where there are many. Allocates nothing.
long mapping_count() noexcept;
long mapping_count_max() noexcept;

}  // namespace gort::os
