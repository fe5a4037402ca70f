// What a dump has seen while the world was stopped.
//
// Problem: names for addresses come from code that allocates, and a thread that was stopped with
// the world may be inside malloc. So while the world is stopped only addresses are taken down, in
// memory of the snapshot's own; it is printed when those threads go on.
#pragma once

#include <cstddef>

#include "report/trace.hpp"

namespace gort::report {

class snapshot {
 public:
  snapshot() noexcept = default;
  snapshot(const snapshot&) = delete;
  snapshot& operator=(const snapshot&) = delete;
  ~snapshot();

  /// Takes down one goroutine, its labels too if it stands still. Where there is no memory it is
  /// only counted.
  void add(const sched::goroutine_view& view, const trace& frames, bool stands_still) noexcept;
  void lose(std::size_t more) noexcept { lost_ += more; }
  std::size_t lost() const noexcept { return lost_; }
  /// Frees nothing but its own memory when it goes: the process ends, and malloc may be in use.
  void keep_labels() noexcept { keeps_labels_ = true; }

  /// From now on for_each() goes by the goroutines' numbers, oldest first, but `first_id` before
  /// all, and shows each once: with its stack, if it was taken down before it had one, too. Where
  /// there is no memory for that, everything stays.
  void sort(std::uint64_t first_id) noexcept;

  /// Calls f(view, frames, labels) for each, in the order in which they came, or by number; labels
  /// is null where it has none.
  template <class F>
  void for_each(F f) const {
    entry head;
    trace frames;
    if (sorted_ != nullptr) {
      for (std::size_t i = 0; i < different_; ++i) {
        read(sorted_[i], head, frames);
        f(head.view, frames, head.labels);
      }
      return;
    }
    for (const chunk* each = first_; each != nullptr; each = each->next) {
      for (const char* at = each->begin(); at != each->begin() + each->used;) {
        at = read(at, head, frames);
        f(head.view, frames, head.labels);
      }
    }
  }

 private:
  struct entry {
    sched::goroutine_view view;
    detail::label_set* labels;  // a reference
    std::size_t count;          // trace::count
    std::size_t name_bytes;
    // Behind it: the frames, the name, and what is missing to the next multiple of a word.
  };
  struct chunk {
    chunk* next = nullptr;
    std::size_t used = 0;
    char* begin() noexcept { return reinterpret_cast<char*>(this + 1); }
    const char* begin() const noexcept { return reinterpret_cast<const char*>(this + 1); }
  };

  static const char* read(const char* at, entry& head, trace& frames) noexcept;
  char* room(std::size_t bytes) noexcept;

  chunk* first_ = nullptr;
  chunk* last_ = nullptr;
  std::size_t lost_ = 0;
  std::size_t count_ = 0;
  std::size_t different_ = 0;      // in sorted_
  const char** sorted_ = nullptr;  // memory of its own
  bool keeps_labels_ = false;
};

struct snapshot_options {
  bool stacks = true;         // else there are views only
  bool handlers_too = false;  // frames of signals' handlers
  bool process_ends = false;  // goroutines do not go on when it has been taken
};

/// Takes down all goroutines, `own` first: the calling one, or how to see it where that is not from
/// here. Goroutines that are parked are looked at one by one, while the others go on; the world is
/// stopped for a moment for those that have not started, and for those that run. Before the process
/// ends, or where the system cannot do it, it is stopped for all.
void take_snapshot(snapshot& to, const snapshot_options& options,
                   const sched::goroutine_view& own) noexcept;

}  // namespace gort::report
