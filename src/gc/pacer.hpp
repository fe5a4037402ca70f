// When the heap is collected: a goal by GOGC, and the goal that the memory limit leaves; and how
// the program is held to the smaller one.
//
//      in use = what the last marking found + what was handed out since
//      base = what it traced, but for what waits for its end + what grew of what was handed out
//             while it marked
//      headroom = base * GOGC/100
//      GOGC's goal = found + headroom, 4 MiB * GOGC/100 at least; and what was learned that the
//                    heap needs so as not to be collected all the time, 16 MiB at most (leeway.hpp)
//      limit's goal = limit - whatever else it counts, less 3% (1 MiB at least); at least `found`
//                     and half of what the last sweep left free between objects, less eight
//                     times what pages were added since
//
// Free slots of pages in use are beside objects, for the limit. But to fill them takes no memory,
// and no collection gives back a page that has an object: where such pages alone are the limit, it
// would be collected without a break, for nothing. So half of them is filled first. What has no
// room in them takes new pages: a sixteenth of them before it is due.
//
// What only waits for its end (endings.cpp) is dead, and is added to the goal as it is: multiplied,
// what dies would make room for more to die.
//
// What is handed out during a marking is found by it, dead or alive: it floats until the next one.
// It is not multiplied by GOGC, or a program that allocates fast would drift from what GOGC says:
// more of it, a higher goal, a longer cycle, more of it. How much of it lives is not known; as much
// of it counts as the heap has grown by for each byte that was handed out since the marking before.
//
// A cycle is asked for when so much is in use that, if as much is handed out during it as during
// the worst of the last three, and a quarter more, the goal is met; between 45/64 and 61/64 of the
// way to it. From there on the way to the goal is shared out (lines_for()); it is taken for 4 MiB
// at least, if the limit allows that: a small heap is collected before anybody is worth holding.
//
//      until it begins     an eighth of it, 2 MiB at least; beyond that who allocates sleeps, so
//                          that the collector's thread gets a CPU: until the cycle has ended, if
//                          that is soon
//      while it marks      as much of it, less what the last sweep took, as was followed of the
//                          words that the last marking followed; beyond that who allocates helps;
//                          where there is nothing to help with, he sleeps beyond the next line
//      until it is swept   a sixteenth more than the goal; the further beyond, the longer
//
// So the peak is bounded by work that was done, not by how fast it is. Not while the CPU limiter
// says that collecting has had more than half of the CPU time (cpu_limiter.hpp): then nobody helps
// or sleeps, and the limit's goal does not count.
//
// Invariants
//   [pace-1] The lines are set under `lock`, and read without: who reads one of them while others
//            are set acts upon the old ones, and looks again at its next span.
//   [pace-2] What else the limit counts changes without anybody telling. So whoever is beyond a
//            line of the limit's reckons anew before he believes it.
//
// How a cycle is asked for, [pace-3] and [pace-4]: requests.hpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <gort/detail/atomic.hpp>

#include "gc/requests.hpp"
#include "record/malloc_account.hpp"

namespace gort::managed {

/// Of what is in use, in bytes.
struct pace_lines {
  static constexpr std::size_t never = ~std::size_t{0};
  std::size_t trigger = never;      // a cycle is due
  std::size_t helps_from = never;   // who allocates helps with it
  std::size_t sleeps_from = never;  // or, where there is nothing to help with, sleeps
  std::size_t once_more = never;    // and once more for each so much that he is beyond that
  bool watch = false;               // the heap is to be watched from here on (quiet.hpp)
};

struct pace {
  detail::atomic<std::size_t> found;        // bytes the last marking found
  detail::atomic<std::size_t> pages_left;   // bytes of the pages that the last sweep left in use
  detail::atomic<std::size_t> handed_out;   // since
  detail::atomic<std::size_t> ended;        // bytes of these whose end was due, and was not before
  detail::atomic<std::size_t> due;          // whose end was due
  detail::atomic<std::size_t> quiet_found;  // by the last one made in quiet (quiet.hpp)
  // The lowest of the lines at which something is to be done; 0 before the first look.
  detail::atomic<std::size_t> trigger;
  detail::atomic<std::size_t> asked_at;      // what was in use when it was asked for
  detail::atomic<std::size_t> marking_from;  // `handed_out` when the marking began
  detail::atomic<std::size_t> followed;      // words, by this marking so far
  // When malloc has handed out so much, the limit's lines are set anew; there is no such point
  // without a limit.
  detail::atomic<std::int64_t> malloc_bytes_max{INT64_MAX};
};
extern pace now;

extern cycle_requests asked;  // src/gc/cycle.cpp

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

/// Beyond the trigger. True: a cycle is to be asked for, by the caller.
bool is_first_to_ask(std::size_t used) noexcept;

/// The collector, in this order. The marking begins: nothing was born black before that.
void cycle_begins() noexcept;
void marking_begins() noexcept;
/// Returns what was handed out between the marking before and now.
std::size_t marking_has_ended() noexcept;
struct cycle_result {
  std::size_t found = 0;
  std::size_t handed_out_before = 0;  // what marking_has_ended() has returned
  std::int64_t cpu_ns = 0;
  bool was_due = false;  // nobody but the pacer asked for it
};
void cycle_has_ended(const cycle_result& what) noexcept;

/// Looks at what else the limit counts, if there is a limit: some microseconds for each of up to 64
/// stacks of each size. Any thread, not inside gort.
void look_at_other_memory() noexcept;

/// Asks for a cycle if so much is in use, and makes the collector's thread.
void collect_if_due() noexcept;

}  // namespace gort::managed
