// Goroutine stacks as text: Go's grammar, so that tools for Go dumps read it.
#pragma once

#include <cstdint>

#include "report/text_sink.hpp"
#include "sched/gmp/inspect.hpp"

namespace gort::report {

struct trace;

/// 0 none, 1 single and all, 2 and more: runtime frames too, with addresses.
struct dump_options {
  bool internal_frames = false;
  bool process_ends = false;  // goroutines do not go on when the dump has been taken
  /// Which are printed; null: all.
  bool (*shows)(void* argument, const sched::goroutine_view& view,
                const detail::label_set* labels) = nullptr;
  void* shows_argument = nullptr;
  std::uint64_t limit = 0;  // so many at most, and how many more there would be; 0: all
};

/// As the header of a goroutine says it: "chan receive", "running".
const char* state_text(const sched::goroutine_view& view) noexcept;

/// One goroutine: header, frames, creator; ends with a newline.
void print_goroutine(text_sink& out, const sched::goroutine_view& view,
                     const dump_options& options) noexcept;
/// The same of the calling one, with the frames that it had.
void print_goroutine_at(text_sink& out, const trace& frames) noexcept;

/// All of them, the calling one first, a blank line between two. Stops the world to see them, and
/// prints afterwards: looking names up may allocate. `own`: how to see the calling one, where that
/// is not from here.
void print_all_goroutines(text_sink& out, const dump_options& options,
                          const sched::goroutine_view* own = nullptr) noexcept;

}  // namespace gort::report
