// Giving free pages back to the system, in the collector's time; see scavenger.cpp.
#pragma once

#include <cstdint>

namespace gort::managed {

/// The collector, after a cycle: there may be pages to give back.
void scavenging_is_due() noexcept;
/// The collector, after a cycle for a heap that is quiet (quiet.hpp): whatever is free may go.
void all_free_is_to_go() noexcept;
/// That is under way: who began it pays for it.
bool all_free_is_going() noexcept;

/// The collector, when it has nothing to do: gives some back, if it is time. Returns when to call
/// it again; -1: not before the next cycle.
std::int64_t scavenge_some(std::int64_t now_ns) noexcept;

/// Gives back at once what free pages bring memory above 95% of the limit. The collector.
void give_back_over_limit() noexcept;

/// CPU time that the collector's thread has had for each. Any thread.
std::int64_t giving_back_by_and_by_ns() noexcept;
std::int64_t giving_back_over_limit_ns() noexcept;

}  // namespace gort::managed
