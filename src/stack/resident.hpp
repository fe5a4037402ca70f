// How much memory the stacks hold.
#pragma once

#include <cstddef>

namespace gort::stack {

/// Bytes of pages that slots have, used and free ones. Exact while there are no more than
/// `looks_max` slots of a size; else estimated from as many, evenly spaced. A microsecond for each.
std::size_t touched_bytes(std::size_t looks_max) noexcept;

}  // namespace gort::stack
