// What the system knows of this process as a whole.
#pragma once

#include <cstdint>
#include <optional>

namespace gort::os {

/// Each is missing where the system does not tell.
struct process_facts {
  std::optional<double> cpu_seconds;         // of all threads
  std::optional<double> start_time_seconds;  // since 1970, to a clock tick
  std::optional<std::uint64_t> open_descriptors;
  std::optional<std::uint64_t> descriptors_max;  // the soft limit
  std::optional<std::uint64_t> virtual_bytes;
  std::optional<std::uint64_t> virtual_bytes_max;  // likewise; 2^64 - 1: none
  std::optional<std::uint64_t> resident_bytes;
  // Of all processes that share the network namespace, in and out, since it exists.
  std::optional<std::uint64_t> received_bytes;
  std::optional<std::uint64_t> sent_bytes;
};

/// The most memory that the process has had resident at once; what it was before exec() counts too.
std::uint64_t peak_resident_bytes() noexcept;

/// Reads files in /proc: some 50 us. Throws std::bad_alloc.
process_facts read_process_facts();

}  // namespace gort::os
