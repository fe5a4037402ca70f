// Files as memory, to read in.
#pragma once

#include <sys/types.h>
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
  mapped_file(mapped_file&& other) noexcept { *this = static_cast<mapped_file&&>(other); }
  mapped_file& operator=(mapped_file&& other) noexcept;

  std::span<const unsigned char> bytes() const noexcept { return bytes_; }
  /// Who opens that path now gets this file. One system call.
  bool is_at(const char* path) const noexcept;

 private:
  std::span<const unsigned char> bytes_;
  dev_t device_{};
  ino_t number_{};
};

/// The path of the running program's file, ended by a zero. False: not known, or longer.
bool program_path(std::span<char> to) noexcept;
/// What the program was started by: its path, perhaps relative to where that was. Null: not known.
const char* executed_path() noexcept;

}  // namespace gort::os
