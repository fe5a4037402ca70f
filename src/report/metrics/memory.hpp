// The classes of memory that /memory/classes counts.
#pragma once

#include <cstdint>

namespace gort::report {

struct memory_facts {
  std::uint64_t heap_objects = 0;  // what malloc has handed out
  std::uint64_t heap_free = 0;     // and what it holds
  std::uint64_t stacks = 0;        // pages of goroutines' stacks
  std::uint64_t os_stacks = 0;     // of the runtime's threads
  std::uint64_t processors = 0;    // Ps with their queues
  std::uint64_t other = 0;         // spawn records, Ms

  std::uint64_t total() const noexcept {
    return heap_objects + heap_free + stacks + os_stacks + processors + other;
  }
};

/// Where a look takes more than 50 us (many stacks, much that malloc holds) it is not repeated
/// before a thousand times as long has passed: what is given then is that old. May wait for a lock
/// of malloc. Any thread, not inside gort.
memory_facts read_memory() noexcept;

/// By a look at up to 4096 stacks of each size, whenever it is called. Without the part that malloc
/// knows; waits for nobody, so the world may be stopped.
memory_facts read_memory_of_gort() noexcept;

}  // namespace gort::report
