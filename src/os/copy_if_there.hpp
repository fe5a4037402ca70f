// Reading memory that others may unmap meanwhile: that of a library which somebody closes.
#pragma once

#include <cstddef>

namespace gort::os {

/// False: not all of it is there. Takes no lock; in signal handlers too. Where the system refuses
/// such a call, as a sandbox may, it is read as any memory is. errno stays.
bool copy_if_there(void* to, const void* from, std::size_t bytes) noexcept;

}  // namespace gort::os
