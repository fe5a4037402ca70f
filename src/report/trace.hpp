// The return addresses of one goroutine's stack.
#pragma once

#include <algorithm>
#include <cstddef>

#include "sched/gmp/inspect.hpp"

namespace gort::report {

/// The innermost 50 and the outermost 50, as Go prints.
struct trace {
  static constexpr std::size_t half = 50;
  const void* inner[half];
  const void* outer[half];  // a ring
  std::size_t count = 0;    // also of those left out

  void add(const void* pc) noexcept {
    if (count < half)
      inner[count] = pc;
    else
      outer[(count - half) % half] = pc;
    ++count;
  }

  /// How many there are in each; what lies between was left out.
  std::size_t inner_count() const noexcept { return std::min(count, half); }
  std::size_t outer_count() const noexcept { return std::min(count - inner_count(), half); }
};

/// Walks the stack of the caller (view.is_current) or of one that does not run. With
/// `handlers_too` also the frames of a signal's handler. Nothing where there is none to walk.
/// Neither allocates nor takes locks of users.
void walk_stack(const sched::goroutine_view& view, bool handlers_too, trace& to) noexcept;

/// The first `room` return addresses of one that is not running; returns how many there were.
std::size_t innermost_frames(const sched::goroutine_view& view, const void** pcs,
                             std::size_t room) noexcept;

}  // namespace gort::report
