// Being the first of what exit() calls.
#pragma once

namespace gort::os {

/// f is called by exit() before all that has been registered so far: handlers of atexit() and
/// destructors of static objects run last in, first out. Can be repeated: it then moves to the
/// front. Not from f.
void call_first_at_exit(void (*f)() noexcept) noexcept;

/// The same once, with the status that exit() was called with.
void call_first_at_exit(void (*f)(int status) noexcept) noexcept;

}  // namespace gort::os
