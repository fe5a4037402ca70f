// Where a thread of this process sleeps.
#pragma once

#include <cstddef>
#include <cstdint>

#include "os/preempt.hpp"

namespace gort::os {

struct place_asleep {
  std::uintptr_t sp = 0;
  std::uintptr_t pc = 0;
  std::int64_t cpu_ns = -1;  // CPU time consumed until then: a thread that runs on has another one
  bool operator==(const place_asleep&) const = default;
};

/// False: it runs, or is about to, or nobody can tell. Twice the same place: it has slept through.
bool find_asleep(const thread_handle& thread, place_asleep& where) noexcept;

/// Copies from this process's own memory, however wrong the address. False: not readable, or the
/// system does not allow to ask.
bool read_memory(std::uintptr_t from, void* to, std::size_t bytes) noexcept;

}  // namespace gort::os
