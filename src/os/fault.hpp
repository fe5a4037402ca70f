// Faults: SIGSEGV and SIGBUS, shared with handlers that were there before.
#pragma once

#include <cstdint>

namespace gort::os {

struct fault {
  const void* address;  // what could not be accessed
  const void* sp;       // of the interrupted code
};

/// f is called in the signal handler, on the thread's alternate stack if it has one (a thread
/// without one dies of an overflow as it would without a handler). It returns if the fault is none
/// of its business: then the handler installed before this call gets the signal as if it had been
/// called by the kernel, and if there was none the default is restored, so that the instruction
/// faults again and the core dump shows it. Signals that somebody has sent are passed on likewise.
void handle_faults(void (*f)(const fault&) noexcept) noexcept;

/// `f` is called, in the handler, for each fault that is passed on: to say on standard error what
/// it was, if it knows. One such function; may be called before handle_faults().
void explain_faults(void (*f)(const fault&) noexcept) noexcept;

}  // namespace gort::os
