// Being called when a thread ends, by code that runs in the middle of malloc.
#pragma once

namespace gort::os {

/// f is called when the calling thread ends, on it; whatever is called later may ask again. At most
/// one function per program. False: there is no room for it. Takes no lock; the C library may
/// allocate if the program has made 32 keys before.
bool call_at_thread_end(void (*f)() noexcept) noexcept;

}  // namespace gort::os
