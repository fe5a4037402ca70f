// Files as memory, to read in.
#pragma once

#include <cstddef>
#include <span>

namespace gort::os {

/// Allocates nothing from malloc. Who cuts the file short while it is mapped ends this process
/// (SIGBUS) when the missing part is read.
class mapped_file {
 public:
  mapped_file() noexcept = default;
  /// Empty if there is no such file, it is none that can be read, or has no content. May block for
  /// a disk access.
  explicit mapped_file(const char* path) noexcept;
  ~mapped_file();
  mapped_file(mapped_file&& other) noexcept : bytes_(other.bytes_) { other.bytes_ = {}; }
  mapped_file& operator=(mapped_file&& other) noexcept;

  std::span<const unsigned char> bytes() const noexcept { return bytes_; }

 private:
  std::span<const unsigned char> bytes_;
};

/// The path of the running program's file, ended by a zero. False: not known, or longer.
bool program_path(std::span<char> to) noexcept;

}  // namespace gort::os
