// How much memory the heap has given out.
#pragma once

#include <malloc.h>
#include <cstddef>

namespace gort::test {

/// Bytes in use, of all threads' arenas and of the large blocks that are mappings. Always 0 where a
/// sanitizer has its own heap.
inline std::size_t allocated_bytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

}  // namespace gort::test
