// Goroutines that wait for each other's mutexes; see mutex_cycles.cpp.
#pragma once

#include "report/text_sink.hpp"

namespace gort::report {

/// The lines of debug::describe_mutex_cycles(), if the check is on and there are any. For fatal
/// errors, which show the goroutines themselves: the world is not started again.
void print_mutex_cycles(text_sink& out) noexcept;

}  // namespace gort::report
