// Which goroutines have their stacks measured; see stack_sample.cpp.
#pragma once

#include "sched/gmp/proc.hpp"

namespace gort::sched {

/// For a goroutine about to be made at `where`, when p::births_left has run out: begins to measure
/// it and says when the next one is due. Returns the site's number, or 0.
std::uint16_t measure_birth(p& here, g* where, void* slot, unsigned size_class,
                            const spawn_record& record) noexcept;

/// Before pages of its stack are given back: what it has used so far must not be forgotten. It
/// stands still, or is the caller.
void remember_use(const g& who) noexcept;

}  // namespace gort::sched
