// The running G, M and P. Re-read them after anything that may switch.
#pragma once

#include "arch/thread_word.hpp"
#include "sched/gmp/proc.hpp"

namespace gort::sched {

/// Makes the calling plain thread's pseudo-G (src/sched/threads/thread_g.cpp).
g* adopt_thread() noexcept;

/// The running M, or null on a plain thread.
inline m* current_m() noexcept {
  g* self = arch::load_current_g();
  return self == nullptr ? nullptr : self->m;
}

/// Where this thread counts how deep it is inside gort; other threads read it.
std::uint32_t* own_inside_count() noexcept;

/// Where the cache is found that this thread's P has in the managed heap; null there: it has none,
/// or the thread has no P that it may use without a lock. arch::load_heap_cache() reads it.
detail::atomic<void*>* own_heap_cache() noexcept;
/// The calling thread's P has got one, for good. Inside gort.
void keep_heap_cache(p& mine, void* cache) noexcept;

/// Prints "fatal error: text" and the goroutines, and exits with status 2.
[[noreturn]] void fatal(const char* text) noexcept;

}  // namespace gort::sched
