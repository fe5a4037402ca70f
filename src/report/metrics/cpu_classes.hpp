// The classes of CPU time that /cpu/classes counts.
#pragma once

#include <cstdint>

#include "record/managed_heap.hpp"

namespace gort::report {

/// Their sum is GOMAXPROCS integrated over time, and what threads without a processor have used on
/// top of it: who gives memory back, the collector, plain threads that help it. None decreases.
struct cpu_classes {
  std::uint64_t user_ns = 0;
  std::uint64_t idle_ns = 0;
  std::uint64_t scavenge_assist_ns = 0;  // as a limit was near
  std::uint64_t scavenge_background_ns = 0;
  std::uint64_t dedicated_ns = 0;  // the collector's thread
  std::uint64_t assist_ns = 0;
  std::uint64_t idle_mark_ns = 0;

  std::uint64_t collector_ns() const noexcept { return dedicated_ns + assist_ns + idle_mark_ns; }
  std::uint64_t scavenge_ns() const noexcept { return scavenge_assist_ns + scavenge_background_ns; }
  std::uint64_t total_ns() const noexcept {
    return user_ns + idle_ns + scavenge_ns() + collector_ns();
  }
};

/// Any thread.
cpu_classes read_cpu_classes(const record::managed_facts& heap) noexcept;

}  // namespace gort::report
