// The numbers of the heap's control, for statistics: plain reads, of any thread, at any time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gort::managed {

/// GOGC as it is now; -1: off.
int gc_percent() noexcept;

/// The memory limit as it is now; 2^63 - 1: none.
std::uint64_t memory_limit() noexcept;
constexpr std::uint64_t no_memory_limit = ~std::uint64_t{0} >> 1;

/// What is in use when the next cycle should have ended; 2^64 - 1: no cycle is due.
std::uint64_t heap_goal() noexcept;

/// Bytes in objects that the last marking found, and handed out since.
std::size_t bytes_in_use() noexcept;
/// The former alone.
std::size_t bytes_found() noexcept;
/// The pages in which the last sweep has left these, with what is free in them.
std::size_t bytes_of_pages_left() noexcept;

/// What the limit counts, in bytes.
struct memory_use {
  std::size_t heap = 0;       // pages of the heap, free ones too that were not given back
  std::size_t heap_free = 0;  // of these
  std::size_t tables = 0;     // the heap's own
  // As of the last look: at the end of each cycle and when a limit is set, while there is one.
  std::size_t stacks = 0;   // pages of goroutines' stacks
  std::size_t runtime = 0;  // threads' stacks, processors, records of goroutines
  std::size_t malloc = 0;   // as of now, where gort::malloc_accounting is linked
  std::size_t total() const noexcept { return heap + tables + stacks + runtime + malloc; }
};
memory_use read_memory_use() noexcept;

/// What of the heap's addresses was used and is no memory now: given back.
std::size_t released_bytes() noexcept;
/// What was given back since the start, each time counted, and how long that has taken.
std::uint64_t given_back_bytes() noexcept;
std::int64_t giving_back_ns() noexcept;

/// Cycles since the start; their numbers wrap.
std::uint32_t cycles_begun() noexcept;
std::uint32_t cycles_ended() noexcept;

/// CPU time since the start, in nanoseconds.
struct collecting_cpu {
  std::int64_t thread_ns = 0;   // the collector's, with what it gives back meanwhile
  std::int64_t assists_ns = 0;  // of those who have helped marking
  std::int64_t idle_ns = 0;     // of Ps that had nothing else to do
  std::int64_t total_ns() const noexcept { return thread_ns + assists_ns + idle_ns; }
};
collecting_cpu read_collecting_cpu() noexcept;

/// Nobody helps now, or sleeps, and the memory limit is suspended if there is one, as collecting
/// would take more than half of the CPU time; and the number of the last cycle that had begun when
/// that came to be, 0: never.
bool is_collecting_capped() noexcept;
bool is_limit_suspended() noexcept;
std::uint32_t limiter_last_enabled_cycle() noexcept;

}  // namespace gort::managed
