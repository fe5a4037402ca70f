// Small configuration files of the system.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace gort::os {

/// Tells whether a file has changed since: equal stamps, equal text, as far as its time tells.
struct file_stamp {
  std::uint64_t inode = 0;
  std::int64_t bytes = -1;  // -1: there is no such file
  std::int64_t changed_ns = 0;
  friend bool operator==(const file_stamp&, const file_stamp&) = default;
};

file_stamp stamp_of(const char* path) noexcept;
/// The first `bytes_max` bytes; empty if it cannot be read. May block for a disk access.
std::string read_text_file(const char* path, std::size_t bytes_max);

}  // namespace gort::os
