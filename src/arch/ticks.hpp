// The processor's counter that runs at one rate, whatever the processor does.
#pragma once

#include <cstdint>

namespace gort::arch {

/// Not ordered with loads and stores around it. Whether it may be used as a clock the kernel knows:
/// os::ticks_are_a_clock().
inline std::uint64_t ticks() noexcept {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  std::uint64_t now;
  asm volatile("mrs %0, cntvct_el0" : "=r"(now));
  return now;
#else
#error "gort: no counter for this architecture; see src/arch"
#endif
}

/// The same, not before all loads that stand before it.
inline std::uint64_t ticks_in_order() noexcept {
#if defined(__x86_64__)
  asm volatile("lfence" ::: "memory");
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
  return ticks();
}

}  // namespace gort::arch
