// A system call without the C library in between.
//
// glibc's recv(), send() and epoll_wait() are cancellation points: in a process with threads each
// changes a word by a locked instruction before the call and by another one after it. Nobody
// cancels our threads. Sanitizers learn from those functions what the system reads and writes, so
// their builds keep to them (os/socket.cpp, os/epoll.cpp).
#pragma once

namespace gort::os {

/// A pointer as an argument of it.
inline long word(const void* pointer) noexcept { return reinterpret_cast<long>(pointer); }

/// What the system returns: a negated errno value for an error. Leaves errno alone.
inline long system_call(long number, long a, long b, long c, long d, long e = 0,
                        long f = 0) noexcept {
#if defined(__x86_64__)
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  long result;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  register long x5 asm("x5") = f;
  asm volatile("svc #0"
               : "+r"(x0)
               : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
               : "memory", "cc");
  return x0;
#else
#error "gort: no system_call() for this architecture; add one to src/os/system_call.hpp"
#endif
}

#if defined(__x86_64__)
/// restart_syscall(2), in the form in which the C library makes calls: a signal's handler that
/// interrupts this one finds its number before the instruction (os/urgent.cpp).
inline long go_on_with_interrupted_call() noexcept {
  constexpr long restart_syscall = 219;
  long result;
  asm volatile("movl %1, %%eax\n\tsyscall"
               : "=&a"(result)
               : "i"(restart_syscall)
               : "rcx", "r11", "memory");
  return result;
}
#endif

}  // namespace gort::os
