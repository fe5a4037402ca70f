// Things, told to the profiles of what exists (record/made.hpp) with the stack of who makes them.
#pragma once

#include <utility>

#include "record/made.hpp"

namespace gort::sched {

using maker = record::event_table::bucket;

maker* note_making_slow(record::made_things& of) noexcept;

/// The calling function, or who has called it, makes one. Null: nobody wants to know.
inline maker* note_making(record::made_things& of) noexcept {
  if (!of.are_counted()) [[likely]]
    return nullptr;
  return note_making_slow(of);
}

/// Starts of goroutines are counted by their creation site and labels, from now on or no more.
/// Returns what it was. False for `on` stays: there is no memory.
bool count_starts(bool on) noexcept;

/// It has ended; `by` is cleared.
inline void note_end(maker*& by) noexcept {
  if (by == nullptr) [[likely]]
    return;
  std::exchange(by, nullptr)->add(record::made_things::ended, 1);
}

}  // namespace gort::sched
