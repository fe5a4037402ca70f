// Which of the libraries that stand in front of malloc are linked: each has a file that defines its
// word, which the program's link line asks for, and which has the linker take malloc.cpp.
#pragma once

#include <cstdint>

extern "C" {
extern const int gort_malloc_is_in_front;  // malloc.cpp
// A block all of whose bits under it are 0 may be sampled, or has to be counted: those of the page
// offset, of no address at all where gort::malloc_accounting is linked.
extern std::uintptr_t gort_malloc_sampled_mask [[gnu::visibility("hidden")]];
// Undefined in a program without the library: then its address is null.
[[gnu::weak]] extern const int* const gort_malloc_profile_is_linked;
[[gnu::weak]] extern const int* const gort_malloc_accounting_is_linked;
}
