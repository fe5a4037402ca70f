// Asks for a cache line ahead of its use.
#pragma once

#include <cstdint>

namespace gort::arch {

/// That another processor has written, and this one is about to: it comes at once as one's own.
/// (__builtin_prefetch(at, 1) asks for a copy to read unless compiled for a certain processor; the
/// store then asks again.) Any address, also one of nothing; never faults.
inline void prefetch_to_write(std::uintptr_t at) noexcept {
#if defined(__x86_64__)
  // Where there is no such instruction it is a no-op of all 64-bit processors.
  asm volatile("prefetchw (%0)" : : "r"(at));
#else
  __builtin_prefetch(reinterpret_cast<const void*>(at), 1);
#endif
}

}  // namespace gort::arch
