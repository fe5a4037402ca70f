// Giving back what a goroutine's stack has grown to.
#pragma once

namespace gort::sched {

/// Gives the pages below the caller's frame back to the system, for a goroutine that is about to
/// wait for long: if something deep ran before, it costs again what one does that has just been
/// started. A system call, and a page fault for each page when it is used again. On a plain thread:
/// nothing.
void trim_stack() noexcept;

}  // namespace gort::sched
