// Goroutines of the runtime's own.
#pragma once

#include "sched/gmp/g.hpp"

namespace gort::sched {

/// Starts one that is neither counted nor shown (is_system()). `invoke` finds `argument` at the
/// beginning of the record's storage, and gives the record back (detail::spawn_free()) first.
/// False: no memory. Any thread, once the runtime has started.
bool start_system_goroutine(const char* name, void (*invoke)(spawn_record*),
                            void* argument) noexcept;

}  // namespace gort::sched
