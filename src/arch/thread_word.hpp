// The thread-local words that say which G runs on this thread, and which cache its P has.
//
// C++ lets a compiler compute the address of a thread_local once per function; a goroutine that
// parks in that function may continue on another thread, and the address is then another thread's.
// These accessors spell the access out and are volatile, so each one asks the thread register anew.
#pragma once

namespace gort::detail {
struct g;
}

// Defined in src/sched/gmp/current.cpp; never accessed by its C++ name outside that file.
extern "C" thread_local gort::detail::g* gort_current_g;

namespace gort::arch {

[[gnu::always_inline]] inline detail::g* load_current_g() noexcept {
  detail::g* value;
#if defined(__x86_64__)
  asm volatile(
      "movq gort_current_g@gottpoff(%%rip), %0\n\t"
      "movq %%fs:(%0), %0"
      : "=r"(value)::"memory");
#elif defined(__aarch64__)
  void* offset;
  asm volatile(
      "mrs %0, tpidr_el0\n\t"
      "adrp %1, :gottprel:gort_current_g\n\t"
      "ldr %1, [%1, #:gottprel_lo12:gort_current_g]\n\t"
      "ldr %0, [%0, %1]"
      : "=&r"(value), "=&r"(offset)::"memory");
#endif
  return value;
}

[[gnu::always_inline]] inline void store_current_g(detail::g* value) noexcept {
  void* offset;
#if defined(__x86_64__)
  asm volatile(
      "movq gort_current_g@gottpoff(%%rip), %0\n\t"
      "movq %1, %%fs:(%0)"
      : "=&r"(offset)
      : "r"(value)
      : "memory");
#elif defined(__aarch64__)
  void* base;
  asm volatile(
      "mrs %0, tpidr_el0\n\t"
      "adrp %1, :gottprel:gort_current_g\n\t"
      "ldr %1, [%1, #:gottprel_lo12:gort_current_g]\n\t"
      "str %2, [%0, %1]"
      : "=&r"(base), "=&r"(offset)
      : "r"(value)
      : "memory");
#endif
}

/// sched::own_heap_cache()
[[gnu::always_inline]] inline void* load_heap_cache() noexcept {
  void* value;
#if defined(__x86_64__)
  asm volatile(
      "movq gort_heap_cache@gottpoff(%%rip), %0\n\t"
      "movq %%fs:(%0), %0"
      : "=r"(value)::"memory");
#elif defined(__aarch64__)
  void* offset;
  asm volatile(
      "mrs %0, tpidr_el0\n\t"
      "adrp %1, :gottprel:gort_heap_cache\n\t"
      "ldr %1, [%1, #:gottprel_lo12:gort_heap_cache]\n\t"
      "ldr %0, [%0, %1]"
      : "=&r"(value), "=&r"(offset)::"memory");
#endif
  return value;
}

}  // namespace gort::arch
