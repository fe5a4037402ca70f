// fork(2) from the point of view of a library.
#pragma once

namespace gort::os {

/// Calls f in the child of every fork() from now on, on the only thread there is then. Not for
/// vfork() and posix_spawn(). False: out of memory.
bool in_forked_children(void (*f)() noexcept) noexcept;

}  // namespace gort::os
