#include "ops/malloc_profile/linked.hpp"

const int* const gort_malloc_profile_is_linked = &gort_malloc_is_in_front;
