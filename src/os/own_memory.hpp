// All that this process can write to, as it is now: for who looks for pointers. Others go on
// meanwhile, and may unmap what is read: so the kernel reads it for us.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gort::os {

struct memory_range {
  std::uintptr_t low = 0;
  std::uintptr_t high = 0;
};

/// Allocates nothing from malloc. Open for a short while only: a child of fork() would read its
/// parent's memory.
class own_memory {
 public:
  /// Makes a list of what is mapped now.
  own_memory() noexcept;
  ~own_memory();
  own_memory(const own_memory&) = delete;
  own_memory& operator=(const own_memory&) = delete;

  /// False: /proc is missing, may not be read, or the list is longer than there is room for.
  bool is_complete() const noexcept { return is_complete_; }

  /// The writable mappings, in order. This object's own memory is not among them.
  std::size_t size() const noexcept { return count_; }
  memory_range operator[](std::size_t n) const noexcept { return ranges_[n]; }

  /// Calls f(argument, where, words, count) for all pages of a range that have been touched, some
  /// at a time. What cannot be read is left out.
  using reader = void (*)(void* argument, std::uintptr_t where, const std::uintptr_t* words,
                          std::size_t count);
  void read(memory_range what, reader f, void* argument) const noexcept;

 private:
  bool list() noexcept;

  int memory_fd_ = -1;
  int pages_fd_ = -1;
  char* own_ = nullptr;  // the list, and what is read
  memory_range* ranges_ = nullptr;
  char* buffer_ = nullptr;
  std::size_t count_ = 0;
  bool is_complete_ = false;
};

}  // namespace gort::os
