// The context switch. A switched-out context is one word, the stack pointer below which gort_switch
// left the callee-saved registers; src/arch/<isa>/switch.S has the layout, unwind.S reads it.
//
// The floating-point control words (rounding mode, exception masks) belong to the callee-saved
// state of the ABI: a goroutine that changes its rounding mode keeps it, the next one does not
// inherit it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

extern "C" {
/// Saves the running context to *save_sp and continues the one at `to_sp`. Returns when somebody
/// switches back.
void gort_switch(void** save_sp, void* to_sp) noexcept;
/// Calls f(argument) with the caller's context in *save_sp, in the layout of gort_switch: others
/// may unwind it meanwhile. Nobody may switch to it.
void gort_call_saved(void** save_sp, void (*f)(void*), void* argument) noexcept;
/// Where a fresh context starts: calls the function in the first saved register with the second
/// one as its argument. Marks the end of the stack for unwinders.
void gort_context_entry() noexcept;
}

namespace gort::arch {

/// Lays out a fresh context on the stack that ends at `top` (16-byte aligned): the first switch to
/// the result calls entry(argument), which must not return.
inline void* make_context(void* top, void (*entry)(void*), void* argument) noexcept {
#if defined(__x86_64__)
  // From low to high: fp control, r15, r14, r13, r12, rbx, rbp, return address, alignment.
  constexpr std::size_t words = 10;
  auto* frame = reinterpret_cast<std::uintptr_t*>(top) - words;
  std::memset(frame, 0, words * sizeof(*frame));
  frame[0] = 0x1f80u | (std::uintptr_t{0x037f} << 32);    // the ABI's initial mxcsr and x87 words
  frame[4] = reinterpret_cast<std::uintptr_t>(entry);     // r12
  frame[5] = reinterpret_cast<std::uintptr_t>(argument);  // rbx
  frame[7] = reinterpret_cast<std::uintptr_t>(&gort_context_entry);
#elif defined(__aarch64__)
  // From low to high: x19..x28, x29, x30, d8..d15, fpcr, padding.
  constexpr std::size_t words = 22;
  auto* frame = reinterpret_cast<std::uintptr_t*>(top) - words;
  std::memset(frame, 0, words * sizeof(*frame));
  frame[0] = reinterpret_cast<std::uintptr_t>(entry);     // x19
  frame[1] = reinterpret_cast<std::uintptr_t>(argument);  // x20
  frame[11] = reinterpret_cast<std::uintptr_t>(&gort_context_entry);
#else
#error "gort: no context switch for this architecture; see src/arch"
#endif
  return frame;
}

/// Where a context that gort_switch has left goes on, and the registers that find its frames.
struct left_context {
  std::uintptr_t pc;
  std::uintptr_t sp;
  std::uintptr_t frame_pointer;
};
#if defined(__x86_64__)
constexpr std::size_t left_words = 8;
#elif defined(__aarch64__)
constexpr std::size_t left_words = 22;
#endif
constexpr std::size_t left_bytes = left_words * sizeof(std::uintptr_t);
inline left_context read_context(const void* saved_sp) noexcept {
#if defined(__x86_64__)
  constexpr std::size_t frame_pointer = 6, pc = 7;
#elif defined(__aarch64__)
  constexpr std::size_t frame_pointer = 10, pc = 11;
#else
#error "gort: no context switch for this architecture; see src/arch"
#endif
  const auto* frame = static_cast<const std::uintptr_t*>(saved_sp);
  return {frame[pc], reinterpret_cast<std::uintptr_t>(frame + left_words), frame[frame_pointer]};
}

}  // namespace gort::arch
