// One step of a spin loop: tells the core that another thread has to move first.
#pragma once

namespace gort::arch {

inline void pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#else
#error "gort: no pause() for this architecture; add one to src/arch/pause.hpp"
#endif
}

}  // namespace gort::arch
