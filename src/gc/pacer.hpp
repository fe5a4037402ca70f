// When the heap is collected: Go's goal by GOGC, and the goal that the memory limit leaves.
//
//      in use = what the last marking found + what was handed out since
//      GOGC's goal = found + found * GOGC / 100, 4 MiB * GOGC / 100 at least
//      limit's goal = limit - whatever else it counts, less 3% (1 MiB at least); `found` at least
//
// The smaller one counts, but only GOGC's while the limit is suspended (cpu_limiter.hpp). A cycle
// begins when so much is in use that, if as much is handed out during it as during the last one,
// and a quarter more, the goal is met; between 45/64 and 61/64 of the way to it.
//
// Invariants
//   [pace-1] The lines are set under `lock`, and read without: who reads one of them while others
//            are set acts upon the old ones, and looks again at its next span.
//   [pace-2] What else the limit counts changes without anybody telling. So whoever is beyond a
//            line of the limit's reckons anew before he believes it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <gort/detail/atomic.hpp>

#include "record/malloc_account.hpp"

namespace gort::managed {

/// Of what is in use, in bytes.
struct pace_lines {
  static constexpr std::size_t never = ~std::size_t{0};
  std::size_t trigger = never;      // a cycle is due
  std::size_t goal = never;         // it should have ended: who allocates helps with it
  std::size_t sleeps_from = never;  // or, where there is nothing to help with, sleeps
  bool watch = false;               // the heap is to be watched from here on (quiet.hpp)
};

struct pace {
  detail::atomic<std::size_t> found;        // bytes the last marking found
  detail::atomic<std::size_t> handed_out;   // since
  detail::atomic<std::size_t> ended;        // bytes of these whose end was due
  detail::atomic<std::size_t> quiet_found;  // by the last one made in quiet (quiet.hpp)
  // The lowest of the lines at which something is to be done; 0 before the first look.
  detail::atomic<std::size_t> trigger;
  // When malloc has handed out so much, the limit's lines are set anew; there is no such point
  // without a limit.
  detail::atomic<std::int64_t> malloc_bytes_max{INT64_MAX};
};
extern pace now;

/// What may be malloced before it is worth a look.
constexpr std::int64_t malloc_step(std::uint64_t limit) noexcept {
  constexpr std::int64_t least = std::int64_t{1} << 20;
  return std::max(least, static_cast<std::int64_t>(limit / 64));
}

/// Counts what was handed out. True: lines_for() says what is due.
[[gnu::always_inline]] inline bool hand_out(std::size_t bytes, std::size_t& used) noexcept {
  used = now.handed_out.fetch_add_relaxed(bytes) + bytes + now.found.load_relaxed();
  return used >= now.trigger.load_relaxed() ||
         record::malloc_bytes.bytes() >= now.malloc_bytes_max.load_relaxed();
}

/// What is due when so much is in use. Not inside gort.
pace_lines lines_for(std::size_t used) noexcept;

struct cycle_result {
  std::size_t found = 0;
  std::size_t handed_out_before = 0;  // until the marking ended
  std::size_t in_cycle = 0;           // handed out from its beginning until now
  std::int64_t cpu_ns = 0;
};
/// The collector.
void cycle_has_ended(const cycle_result& what) noexcept;

/// Looks at what else the limit counts, if there is a limit: some microseconds for each of up to 64
/// stacks of each size. Any thread, not inside gort.
void look_at_other_memory() noexcept;

/// Asks for a cycle if so much is in use, and makes the collector's thread.
void collect_if_due() noexcept;

}  // namespace gort::managed
