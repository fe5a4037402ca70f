// All that this process can write to or has written, as it is now: for who looks for pointers.
// Others go on meanwhile, and may unmap what is read: so the kernel reads it for us.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gort::os {

struct memory_range {
  std::uintptr_t low = 0;
  std::uintptr_t high = 0;
};

/// What of it an address belongs to.
enum class memory_owner : std::uint8_t {
  unknown,   // a stack, a mapping of somebody's own, another allocator's memory
  variable,  // of the program or a library: .data, .bss
  malloc,    // glibc's, in use or not
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

  /// The writable mappings, and those of no file that can be read only, in order. This object's own
  /// memory is not among them.
  std::size_t size() const noexcept { return count_; }
  memory_range operator[](std::size_t n) const noexcept { return ranges_[n]; }

  /// Calls f(argument, where, words, count) for all pages of a range that have been touched, some
  /// at a time. What cannot be read is left out.
  using reader = void (*)(void* argument, std::uintptr_t where, const std::uintptr_t* words,
                          std::size_t count);
  void read(memory_range what, reader f, void* argument) const noexcept;
  /// Some words, as far as they can be read: how many. Not inside of f.
  std::size_t read_words(std::uintptr_t where, std::uintptr_t* to,
                         std::size_t count) const noexcept;

  /// Told by the dynamic linker and by what glibc's malloc writes before its memory.
  /// src/os/owner.cpp
  memory_owner owner_of(std::uintptr_t address) const noexcept;

 private:
  bool is_in_arena(std::uintptr_t address, const memory_range& mapping) const noexcept;
  bool is_in_large_block(std::uintptr_t address, const memory_range& mapping) const noexcept;
  bool list() noexcept;

  int memory_fd_ = -1;
  int pages_fd_ = -1;
  char* own_ = nullptr;  // the list, and what is read
  memory_range* ranges_ = nullptr;
  char* buffer_ = nullptr;
  std::size_t count_ = 0;
  bool is_complete_ = false;
  mutable memory_range none_begins_;  // a large block of malloc's; owner.cpp
};

}  // namespace gort::os
