// For a function that assembly jumps to without having aligned the stack.
#pragma once

#if defined(__x86_64__)
#define GORT_ON_ANY_STACK __attribute__((force_align_arg_pointer))
#else
#define GORT_ON_ANY_STACK
#endif
