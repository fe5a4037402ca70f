// gort::malloc_accounting: malloc's bytes count for the memory limit. The work is done where the
// profile's is: src/ops/malloc_profile/malloc.cpp.
#include "ops/malloc_profile/linked.hpp"

const int* const gort_malloc_accounting_is_linked = &gort_malloc_is_in_front;
// In place of malloc.cpp's.
constinit std::uintptr_t gort_malloc_sampled_mask = 0;
