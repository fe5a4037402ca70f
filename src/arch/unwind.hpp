// Unwinding a context that is not running.
#pragma once

extern "C" {
/// Calls f(argument) on the caller's stack, such that an unwinder that starts in f walks from this
/// function's frame into the context that gort_switch saved at `saved_sp`. Nothing is written to
/// that stack. Exceptions must not leave f.
void gort_unwind_from(const void* saved_sp, void (*f)(void*), void* argument);
/// The end of its code: a return address between the two belongs to it.
extern const char gort_unwind_from_end[];
}
