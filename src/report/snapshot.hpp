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

  /// Takes down one goroutine; its name is not kept. Where there is no memory it is only counted.
  void add(const sched::goroutine_view& view, const trace& frames) noexcept;
  std::size_t lost() const noexcept { return lost_; }

  /// Calls f(view, frames) for each, in the order in which they came.
  template <class F>
  void for_each(F f) const {
    for (const chunk* each = first_; each != nullptr; each = each->next) {
      for (const char* at = each->begin(); at != each->begin() + each->used;) {
        entry head;
        trace frames;
        at = read(at, head, frames);
        f(head.view, frames);
      }
    }
  }

 private:
  struct entry {
    sched::goroutine_view view;
    std::size_t count;  // trace::count
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
};

}  // namespace gort::report
