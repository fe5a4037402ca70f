// A fast random number for scheduling decisions (which case, which victim); not for secrets.
#pragma once

#include <cstdint>

namespace gort::detail {

/// Uniform in [0, 2^32) except 0; state is kept per G. Callable from any thread.
std::uint32_t fast_random() noexcept;

}  // namespace gort::detail
