// What sanitizers and debug builds are told of slots: who uses one after its object was freed is
// found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/sanitizer.hpp"

#ifdef GORT_TSAN
// Of ThreadSanitizer's interface for collected heaps (tsan_interface_java.h, which is not
// installed): what others did to memory before it was handed out is not ordered, and need not be.
extern "C" {
void __tsan_java_init(unsigned long low, unsigned long bytes);
void __tsan_java_alloc(unsigned long at, unsigned long bytes);
void __tsan_java_finalize();
}
#endif

namespace gort::managed {

inline void tell_of_range([[maybe_unused]] std::uintptr_t low,
                          [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef GORT_TSAN
  __tsan_java_init(low, bytes);
#endif
}

inline void tell_of_slots_taken([[maybe_unused]] std::uintptr_t at,
                                [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(GORT_ASAN)
  __asan_unpoison_memory_region(reinterpret_cast<void*>(at), bytes);
#elif defined(GORT_TSAN)
  __tsan_java_alloc(at, bytes);
#endif
}

/// By who runs the ends of objects, before those that one marking has found dead: nobody uses them
/// any more, which the marking knows from words whose reading ThreadSanitizer does not see. All
/// that was done by now is before what comes then.
inline void tell_of_ends() noexcept {
#ifdef GORT_TSAN
  __tsan_java_finalize();
#endif
}

/// Whether the sweep must tell of each slot that it frees.
#if defined(GORT_ASAN) || !defined(NDEBUG)
constexpr bool freed_slots_are_told = true;
#else
constexpr bool freed_slots_are_told = false;
#endif

GORT_UNSANITIZED inline void tell_of_slot_freed([[maybe_unused]] std::uintptr_t at,
                                                [[maybe_unused]] std::size_t bytes) noexcept {
#if !defined(NDEBUG) && !defined(GORT_ASAN)
  constexpr std::uint64_t dead = 0xdbdbdbdbdbdbdbdb;
  for (std::size_t i = 0; i + 8 <= bytes; i += 8) *reinterpret_cast<std::uint64_t*>(at + i) = dead;
#endif
#if defined(GORT_ASAN)
  __asan_poison_memory_region(reinterpret_cast<void*>(at), bytes);
#endif
}

}  // namespace gort::managed
