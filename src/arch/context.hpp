// The context switch. A switched-out context is one word: a stack pointer, at which lie, low to
// high:
//
//   x86-64   mxcsr (4 bytes), x87 control word (2), 2 unused; where it goes on; rbp
//   arm64    x19 to x28, x29, x30, d8 to d15, fpcr, padding (aarch64/switch.S)
//
// The floating-point control words (rounding mode, exception masks) belong to the callee-saved
// state of the ABI: a goroutine that changes its rounding mode keeps it, the next one does not
// inherit it. They are reloaded only where they differ: a load of them serializes.
//
// On x86-64 the switch is written into the function that switches, and names every register as one
// that it changes. So the compiler saves those that the caller wants kept, once, in that function's
// frame, where a function of its own would save all six of them a second time. There is neither a
// call nor a return in it: the return-address predictor stays in step, as long as both contexts
// have been left at the same depth of calls, and the jump nearly always leads to the instruction
// behind it. (A `ret` in place of a call's leaves one entry too few there; an indirect jump behind
// a call, one too many: each return up to the user's code is then mispredicted, and a yield takes
// 20 ns.) What the one context has left in those registers is cleared: the next would save it in
// its frames, and who looks through stacks for pointers (the collector, the search for leaked
// goroutines) would take it for the next one's. From the change of the stack pointer to the jump
// the unwind tables describe the frame of the context that is about to go on: profilers' signals
// land there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

extern "C" {
#if defined(__aarch64__)
void gort_switch(void** save_sp, void* to_sp) noexcept;  // switch_context()
#endif
/// Calls f(argument) with the running context in *save_sp, as if it had been left: others may
/// unwind it meanwhile. Nobody may switch to it.
void gort_call_saved(void** save_sp, void (*f)(void*), void* argument) noexcept;
/// Where a fresh context starts, see make_context(). Marks the end of the stack for unwinders.
void gort_context_entry() noexcept;
}

namespace gort::arch {

/// Saves the running context to *save_sp and continues the one at `to_sp`. Returns when somebody
/// switches back.
[[gnu::always_inline]] inline void switch_context(void** save_sp, void* to_sp) noexcept {
#if defined(__x86_64__)
  asm volatile(
      "pushq %%rbp\n\t"
      "leaq 5f(%%rip), %%rax\n\t"
      "pushq %%rax\n\t"
      "subq $8, %%rsp\n\t"
      "stmxcsr (%%rsp)\n\t"
      "fnstcw 4(%%rsp)\n\t"
      "movq %%rsp, (%0)\n\t"
      "movl (%%rsp), %%eax\n\t"
      "movzwl 4(%%rsp), %%ecx\n\t"
      "movq %1, %%rsp\n\t"  // from here the words are the other context's, and so is the frame
      ".cfi_remember_state\n\t"
      ".cfi_def_cfa %%rsp, 24\n\t"
      ".cfi_offset %%rip, -16\n\t"
      ".cfi_offset %%rbp, -8\n\t"
      ".cfi_undefined %%rbx\n\t"
      ".cfi_undefined %%r12\n\t"
      ".cfi_undefined %%r13\n\t"
      ".cfi_undefined %%r14\n\t"
      ".cfi_undefined %%r15\n\t"
      "cmpl (%%rsp), %%eax\n\t"
      "jne 3f\n"
      "1:\tcmpw 4(%%rsp), %%cx\n\t"
      "jne 4f\n"
      "2:\taddq $16, %%rsp\n\t"
      ".cfi_def_cfa_offset 8\n\t"
      "popq %%rbp\n\t"
      ".cfi_def_cfa_offset 0\n\t"
      ".cfi_same_value %%rbp\n\t"
      "xorl %%ebx, %%ebx\n\t"
      "xorl %%r12d, %%r12d\n\t"
      "xorl %%r13d, %%r13d\n\t"
      "xorl %%r14d, %%r14d\n\t"
      "xorl %%r15d, %%r15d\n\t"
      "jmpq *-16(%%rsp)\n\t"
      ".cfi_def_cfa_offset 24\n\t"
      ".cfi_offset %%rbp, -8\n"
      "3:\tldmxcsr (%%rsp)\n\t"
      "jmp 1b\n"
      "4:\tfldcw 4(%%rsp)\n\t"
      "jmp 2b\n\t"
      ".cfi_restore_state\n\t"
      "nop\n"  // unwinders look a return address up by the byte before it
      "5:"
      : "+D"(save_sp), "+S"(to_sp)
      :
      : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0",
        "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
        "xmm12", "xmm13", "xmm14", "xmm15", "memory", "cc");
#elif defined(__aarch64__)
  gort_switch(save_sp, to_sp);
#else
#error "gort: no context switch for this architecture; see src/arch"
#endif
}

/// Lays out a fresh context on the stack that ends at `top` (16-byte aligned): the first switch to
/// the result calls entry(argument), which must not return.
inline void* make_context(void* top, void (*entry)(void*), void* argument) noexcept {
#if defined(__x86_64__)
  // Above what a switch takes away: the argument and the function.
  constexpr std::size_t words = 5;
  auto* frame = reinterpret_cast<std::uintptr_t*>(top) - words;
  frame[0] = 0x1f80u | (std::uintptr_t{0x037f} << 32);  // the ABI's initial mxcsr and x87 words
  frame[1] = reinterpret_cast<std::uintptr_t>(&gort_context_entry);
  frame[2] = 0;  // the end of the frame pointers
  frame[3] = reinterpret_cast<std::uintptr_t>(argument);
  frame[4] = reinterpret_cast<std::uintptr_t>(entry);
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

/// Where a context that has been left goes on, and the registers that find its frames.
struct left_context {
  std::uintptr_t pc;
  std::uintptr_t sp;
  std::uintptr_t frame_pointer;
};
#if defined(__x86_64__)
constexpr std::size_t left_words = 3;
#elif defined(__aarch64__)
constexpr std::size_t left_words = 22;
#endif
constexpr std::size_t left_bytes = left_words * sizeof(std::uintptr_t);
inline left_context read_context(const void* saved_sp) noexcept {
#if defined(__x86_64__)
  constexpr std::size_t frame_pointer = 2, pc = 1;
#elif defined(__aarch64__)
  constexpr std::size_t frame_pointer = 10, pc = 11;
#else
#error "gort: no context switch for this architecture; see src/arch"
#endif
  const auto* frame = static_cast<const std::uintptr_t*>(saved_sp);
  return {frame[pc], reinterpret_cast<std::uintptr_t>(frame + left_words), frame[frame_pointer]};
}

}  // namespace gort::arch
