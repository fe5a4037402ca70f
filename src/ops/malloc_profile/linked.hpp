// Which of the libraries that stand in front of malloc are linked: each has a file that defines its
// word, which the program's link line asks for, and which has the linker take malloc.cpp.
#pragma once

extern "C" {
extern const int gort_malloc_is_in_front;  // malloc.cpp
// Undefined in a program without the library: then its address is null.
[[gnu::weak]] extern const int* const gort_malloc_profile_is_linked;
[[gnu::weak]] extern const int* const gort_malloc_accounting_is_linked;
}
