// Giving free pages back to the system, in the collector's time; see scavenger.cpp.
#pragma once

#include <cstdint>

namespace gort::managed {

/// The collector, after a cycle: there may be pages to give back.
void scavenging_is_due() noexcept;

/// The collector, when it has nothing to do: gives some back, if it is time. Returns when to call
/// it again; -1: not before the next cycle.
std::int64_t scavenge_some(std::int64_t now_ns) noexcept;

/// Gives back at once what free pages bring memory above 95% of the limit. The collector.
void give_back_over_limit() noexcept;

}  // namespace gort::managed
