// The classes of memory that /memory/classes counts.
#pragma once

#include <cstdint>

#include "record/managed_heap.hpp"

namespace gort::report {

struct memory_facts {
  std::uint64_t heap_objects = 0;   // what malloc has handed out, and the managed heap
  std::uint64_t heap_unused = 0;    // the rest of the managed heap's spans
  std::uint64_t heap_free = 0;      // what malloc holds, and pages that no span has
  std::uint64_t heap_released = 0;  // given back, of the managed heap
  std::uint64_t stacks = 0;         // pages of goroutines' stacks
  std::uint64_t os_stacks = 0;      // of the runtime's threads
  std::uint64_t processors = 0;     // Ps with their queues and caches
  std::uint64_t spans = 0;          // the managed heap's records of its spans
  std::uint64_t collector = 0;      // its tables and worklists
  std::uint64_t profiles = 0;       // tables of sampled events
  std::uint64_t other = 0;          // spawn records, Ms

  void add(const record::managed_facts& heap) noexcept;
  std::uint64_t total() const noexcept {
    return heap_objects + heap_unused + heap_free + heap_released + stacks + os_stacks +
           processors + spans + collector + profiles + other;
  }
};

/// Where a look takes more than 50 us (many stacks, much that malloc holds) it is not repeated
/// before a thousand times as long has passed: what is given then is that old. May wait for a lock
/// of malloc. Any thread, not inside gort.
memory_facts read_memory(const record::managed_facts& heap) noexcept;

/// By a look at up to 4096 stacks of each size, whenever it is called. Without the parts that
/// malloc and the managed heap know; waits for nobody, so the world may be stopped.
memory_facts read_memory_of_gort() noexcept;

}  // namespace gort::report
