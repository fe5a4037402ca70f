// What g::labels points to, changed and looked at.
//
// Problem: a goroutine changes its labels while it runs, and they are read by signal handlers on
// its thread and by reports on others: of one that has come back from a library's call while the
// world is stopped, a report may read at the very moment at which it drops the last reference.
//
// So a reader on another thread claims the word while it adds a reference: its low bit is set then,
// and who wants to change it waits for some instructions.
//
// Invariants
//   [label-1] Only the goroutine itself changes which set the word refers to, and not while the bit
//             is set. A reader clears the bit after a few instructions of its own; it is inside
//             gort, where no signal parks it.
//   [label-2] The word holds a reference. A handler on the goroutine's own thread may therefore add
//             one to what it finds (without the bit): it cannot be dropped while the handler runs.
//             So may what the thread itself does, in the middle of malloc.
//   [label-3] A set is immutable. Who drops its last reference destroys it, outside gort, for that
//             frees memory.
//
// Rejected: a lock of all goroutines (each request that is labelled would take it); a grace period
// (a set would outlive its request by milliseconds, under load by many).
#pragma once

#include <cstdint>

#include "arch/pause.hpp"
#include "record/event_table.hpp"
#include "sched/gmp/g.hpp"

namespace gort::sched {

using label_word = detail::atomic<detail::label_set*>;

inline bool is_claimed(const detail::label_set* seen) noexcept {
  return (reinterpret_cast<std::uintptr_t>(seen) & 1) != 0;
}
/// Without the mark of a reader: for handlers on the goroutine's thread [label-2].
inline detail::label_set* plain_labels(detail::label_set* seen) noexcept {
  return reinterpret_cast<detail::label_set*>(reinterpret_cast<std::uintptr_t>(seen) &
                                              ~std::uintptr_t{1});
}

/// Null is allowed; returns what it was given. The caller must hold one, or the word does.
inline detail::label_set* add_reference(detail::label_set* to) noexcept {
  if (to != nullptr) to->references.fetch_add_relaxed(1);  // it is there: nothing to be ordered
  return to;
}

/// A set that somebody holds, or null, as tables of events take it.
inline record::event_table::labels labels_of_set(detail::label_set* set) noexcept {
  if (set == nullptr) return {};
  return {set->content, set,
          [](void* object) noexcept { add_reference(static_cast<detail::label_set*>(object)); }};
}
/// Those of whoever runs on this thread (null: nobody), or of one that stands still.
inline record::event_table::labels labels_of_own(const g* self) noexcept {
  // [label-2], [events-6]
  return labels_of_set(self == nullptr ? nullptr : plain_labels(self->labels.load_relaxed()));
}

/// Outside gort [label-3].
inline void drop_reference(detail::label_set* gone) noexcept {
  // Acquire-release: who drops the last reference comes after all others.
  if (gone != nullptr && gone->references.fetch_sub_acq_rel(1) == 1) gone->destroy(gone);
}

/// By the goroutine itself: takes the reference that it is given, and returns the one before.
inline detail::label_set* exchange_labels(label_word& word, detail::label_set* now) noexcept {
  detail::label_set* seen = plain_labels(word.load_relaxed());
  // Acquire-release: pairs with the release and the acquire of a reader.
  while (!word.cas_acq_rel(seen, now)) {
    arch::pause();
    seen = plain_labels(seen);  // what differed was the mark
  }
  return seen;
}

/// By another thread, inside gort: with a reference of the caller's; null if there are none.
inline detail::label_set* hold_labels(label_word& word) noexcept {
  detail::label_set* seen = word.load_relaxed();
  for (;;) {
    if (seen == nullptr) return nullptr;
    if (is_claimed(seen)) {
      arch::pause();
      seen = word.load_relaxed();
      continue;
    }
    auto* const claimed =
        reinterpret_cast<detail::label_set*>(reinterpret_cast<std::uintptr_t>(seen) | 1);
    // Acquire pairs with exchange_labels(): the set has been made.
    if (!word.cas_acquire(seen, claimed)) continue;
    add_reference(seen);
    word.store_release(seen);  // pairs with exchange_labels(): the reference is counted
    return seen;
  }
}

}  // namespace gort::sched
