// Which stack the calling thread is on, and on whose behalf: for samplers, in signal handlers too.
#pragma once

#include <cstdint>

#include "stack/cfi.hpp"

namespace gort::detail {
struct g;
}

namespace gort::sched {

struct own_stack {
  stack::stack_bounds bounds;  // unknown (zero) for a plain thread's, and for one that is not ours
  detail::g* whose = nullptr;  // null: a thread that has never used gort
};

/// By the stack pointer, and not only by who counts as running: that changes some instructions
/// before the stack does. Locks nothing, reads what the calling thread itself writes.
own_stack own_stack_at(std::uintptr_t sp) noexcept;

}  // namespace gort::sched
