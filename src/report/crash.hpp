// The ends of a process: panic, fatal error, SIGQUIT.
#pragma once

#include "base/env.hpp"

namespace gort::report {

/// The environment's level, or what set_traceback() raised it to.
base::traceback traceback_level() noexcept;

/// Takes the turn to report [crash-1].
void begin_report() noexcept;
/// This thread has it.
bool reporting_here() noexcept;

/// Ends with that status, or by SIGABRT at level crash.
[[noreturn]] void end_process(int status = 2) noexcept;

/// Takes SIGQUIT over if nobody has; returns how many threads it started.
int install_sigquit() noexcept;
/// SIGQUIT has come: the process is about to end.
bool quit_was_asked() noexcept;

/// From now on a goroutine that overflows its stack says so (src/report/overflow.cpp).
void install_overflow_report() noexcept;

}  // namespace gort::report
