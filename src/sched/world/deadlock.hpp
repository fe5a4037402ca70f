// What others need of the deadlock check, deadlock.cpp.
#pragma once

#include <cstdint>

namespace gort::sched {

/// up_to_others: all is asleep, and there are threads that gort does not know; sysmon must look at
/// next_verdict_ns(). looked_at: the same, and it will.
enum class verdict : std::uint8_t { alive, up_to_others, looked_at, deadlock };
/// Under sched.lock. Reads how many threads the process has, if nothing else speaks against it.
verdict judge_locked() noexcept;
/// sysmon, before it sleeps: when to judge again [dead-2]; -1: not by time.
std::int64_t next_verdict_ns() noexcept;
[[noreturn]] void report_deadlock() noexcept;

}  // namespace gort::sched
