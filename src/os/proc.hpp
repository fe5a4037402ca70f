// Facts about this process from /proc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gort::os {

/// Threads of this process; -1 if /proc cannot be read. Allocates nothing.
int thread_count() noexcept;
/// Reads /proc/self/task/N/name into `text`, terminated; returns its bytes, at most room - 1. 0: no
/// such file. Allocates nothing.
std::size_t read_of_thread(int thread_id, std::string_view name, char* text,
                           std::size_t room) noexcept;
/// When a thread of this process was started, in ticks since the system was; 0: unknown.
std::uint64_t thread_start_ticks(int thread_id) noexcept;
/// It sleeps in a futex call: for a lock, a condition or another thread's end.
bool sleeps_in_futex(int thread_id) noexcept;

/// A line of /proc/self/status in bytes ("VmRSS:", "VmPTE:"); -1 if absent.
std::int64_t status_bytes(const char* key) noexcept;

/// Mappings of this process, and how many the kernel allows (vm.max_map_count); -1 if /proc cannot
/// be read. Counting takes milliseconds where there are many. Allocates nothing.
long mapping_count() noexcept;
long mapping_count_max() noexcept;

}  // namespace gort::os
