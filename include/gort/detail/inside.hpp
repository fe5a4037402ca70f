// Whether this thread is inside gort.
//
// Problem: a thread in user code may be deprived of its P at any instant (it blocks in a library)
// or be parked in place by a signal (it computes for too long). Neither may happen while it holds
// one of gort's spin locks or uses its P: others would spin for ever, or two threads use one P.
//
// So each thread counts how deep inside gort it is: spin locks and everything that touches the P
// add one and subtract one. The count is a thread-local word, changed by one plain instruction.
//
// Invariants
//   [inside-1] A thread whose count is not 0 is neither parked by a signal nor deprived of its P.
//   [inside-2] The count is 1 whenever a context is switched out or in, so it need not be switched.
//   [inside-3] Who takes a P from a thread clears m::usable, then makes that thread execute a full
//              barrier (os::fence_thread), then reads the count. The thread adds to the
//              count, then reads `usable`. So either it sees null, or the taker sees the count and
//              leaves the P where it is. A thread that sees null takes sched.lock before it
//              believes either; one that does not keeps its P while it is inside. The signal
//              handler reads the count of its own thread. What goes for `usable` goes for
//              the word that leads to the P's cache of the managed heap (m::use()).
//   [inside-4] Code inside gort may block on a lock that user code can hold (malloc's, by moving an
//              element of a channel), and its holder may be parked in place: [hand-6].
//   [inside-5] In a forked child the count is negative (src/sched/world/fork.cpp), which the next
//              entry notices and ends the process: all that needs the runtime starts here. The
//              addition gives the sign for nothing, and the branch is never taken.
//
// Rejected: a full fence on each entry (some 20 cycles, paid by every operation).
#pragma once

#include <cstdint>

#ifndef GORT_MODEL
extern "C" thread_local std::uint32_t gort_inside;  // never accessed by its C++ name
extern "C" [[noreturn]] void gort_used_in_forked_child() noexcept;  // says so, ends the process
#endif

namespace gort::detail {

#if defined(GORT_MODEL)
inline void enter_gort() noexcept {}
inline void exit_gort() noexcept {}
#elif defined(__SANITIZE_THREAD__) || defined(GORT_TSAN)
#define GORT_INSIDE_BY_CALL 1  // ThreadSanitizer does not see what assembly does
// src/sched/gmp/current.cpp, in a gort that is built with -fsanitize=thread. A program that is,
// with a gort that is not, would get false reports; what the linker says of it is this:
void enter_gort() noexcept asm("gort_is_built_without_thread_sanitizer__see_docs_sanitizers_md");
void exit_gort() noexcept asm("gort_exit_thread_sanitizer");
#else

// Spelled out because a compiler may keep the address of a thread_local across a switch
// (src/arch/thread_word.hpp).
[[gnu::always_inline]] inline void enter_gort() noexcept {
#if defined(__x86_64__)
  void* offset;
  asm volatile(
      "movq gort_inside@gottpoff(%%rip), %0\n\t"
      "incl %%fs:(%0)\n\t"
      "js gort_used_in_forked_child@PLT"
      : "=&r"(offset)::"memory", "cc");
#elif defined(__aarch64__)
  void* base;
  void* offset;
  std::uint32_t count;
  asm volatile(
      "mrs %0, tpidr_el0\n\t"
      "adrp %1, :gottprel:gort_inside\n\t"
      "ldr %1, [%1, #:gottprel_lo12:gort_inside]\n\t"
      "add %0, %0, %1\n\t"
      "ldr %w2, [%0]\n\t"
      "add %w2, %w2, #1\n\t"
      "str %w2, [%0]\n\t"
      "tbz %w2, #31, 1f\n\t"
      "b gort_used_in_forked_child\n"
      "1:"
      : "=&r"(base), "=&r"(offset), "=&r"(count)::"memory");
#endif
}

// A release, for a taker that reads the count: a plain store is one on x86.
[[gnu::always_inline]] inline void exit_gort() noexcept {
#if defined(__x86_64__)
  void* offset;
  asm volatile(
      "movq gort_inside@gottpoff(%%rip), %0\n\t"
      "decl %%fs:(%0)"
      : "=&r"(offset)::"memory", "cc");
#elif defined(__aarch64__)
  void* base;
  void* offset;
  std::uint32_t count;
  asm volatile(
      "mrs %0, tpidr_el0\n\t"
      "adrp %1, :gottprel:gort_inside\n\t"
      "ldr %1, [%1, #:gottprel_lo12:gort_inside]\n\t"
      "add %0, %0, %1\n\t"
      "ldr %w2, [%0]\n\t"
      "sub %w2, %w2, #1\n\t"
      "stlr %w2, [%0]"
      : "=&r"(base), "=&r"(offset), "=&r"(count)::"memory");
#endif
}
#endif

/// Inside gort for a scope.
class inside_gort {
 public:
  inside_gort() noexcept { enter_gort(); }
  ~inside_gort() { exit_gort(); }
  inside_gort(const inside_gort&) = delete;
  inside_gort& operator=(const inside_gort&) = delete;
};

}  // namespace gort::detail
