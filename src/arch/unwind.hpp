// Unwinding a context that is not running, and seeing an exception pass while all frames are there.
#pragma once

#include <unwind.h>

extern "C" {
/// Calls f(argument) on the caller's stack, such that an unwinder that starts in f walks from this
/// function's frame into the context that a switch saved at `saved_sp`. Nothing is written to
/// that stack. Exceptions must not leave f.
void gort_unwind_from(const void* saved_sp, void (*f)(void*), void* argument);
/// The end of its code: a return address between the two belongs to it.
extern const char gort_unwind_from_end[];

/// Calls f(argument). Where an exception is about to leave f, gort_see_exception() is called while
/// the frames down to the throw are still there.
[[gnu::visibility("hidden")]] void gort_call_watched(void (*f)(void*), void* argument,
                                                     void* watcher);
/// The "personality" of that frame, as the C++ ABI has it. Defined in src/report.
[[gnu::visibility("hidden")]] _Unwind_Reason_Code gort_see_exception(
    int version, _Unwind_Action actions, _Unwind_Exception_Class kind, _Unwind_Exception* exception,
    _Unwind_Context* context) noexcept;
}

namespace gort::arch {

/// What gort_call_watched was given, for gort_see_exception().
inline void* watcher_of(_Unwind_Context* context) noexcept {
#if defined(__x86_64__)
  constexpr int watcher_register = 3;  // rbx, in DWARF's numbers
#elif defined(__aarch64__)
  constexpr int watcher_register = 19;
#else
#error "gort: no watched call for this architecture; see src/arch"
#endif
  return reinterpret_cast<void*>(_Unwind_GetGR(context, watcher_register));
}

}  // namespace gort::arch
