#include "os/malloc_facts.hpp"

#include <malloc.h>

// There in a process with AddressSanitizer or ThreadSanitizer, whose mallinfo() knows nothing.
extern "C" {
[[gnu::weak]] std::size_t __sanitizer_get_current_allocated_bytes();
[[gnu::weak]] std::size_t __sanitizer_get_free_bytes();
}

namespace gort::os {

malloc_facts read_malloc() noexcept {
  if (__sanitizer_get_current_allocated_bytes != nullptr && __sanitizer_get_free_bytes != nullptr)
    return {__sanitizer_get_current_allocated_bytes(), __sanitizer_get_free_bytes()};
#if __GLIBC_PREREQ(2, 33)
  const struct mallinfo2 all = mallinfo2();
  return {all.uordblks + all.hblkhd, all.fordblks};
#else  // in 32 bits: wrong beyond 4 GiB
  const struct mallinfo all = mallinfo();
  return {static_cast<unsigned>(all.uordblks) + std::size_t{static_cast<unsigned>(all.hblkhd)},
          static_cast<unsigned>(all.fordblks)};
#endif
}

}  // namespace gort::os
