// Spawn records that nobody uses, for who looks for addresses: what is left in them is none.
#pragma once

#include <gort/detail/spawn.hpp>

namespace gort::sched {

/// Calls f for those that Ps keep; others' may be taken by plain threads meanwhile. The world is
/// stopped as a whole.
void for_each_spare_record(void (*f)(const detail::spawn_record&, void*), void* argument) noexcept;

}  // namespace gort::sched
