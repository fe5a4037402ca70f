// The stack of a goroutine whose thread sleeps in the kernel, in a call that gort knows nothing of.
#pragma once

#include "os/preempt.hpp"
#include "stack/cfi.hpp"
#include "report/trace.hpp"

namespace gort::report {

/// Walks it. Nothing, if the thread runs, wakes up meanwhile, or sleeps on another stack. Sends no
/// signal, writes nothing, allocates nothing.
void walk_asleep(const os::thread_handle& thread, const stack::stack_bounds& bounds,
                 trace& to) noexcept;

}  // namespace gort::report
