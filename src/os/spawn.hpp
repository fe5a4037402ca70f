// Starting programs, and watching them end.
#pragma once

#include <cstdint>

namespace gort::os {

struct program {
  const char* const* files;  // tried in turn until one of them can be executed; ends with null
  char* const* arguments;
  char* const* environment;  // null: ours
  const char* directory;     // null: where we are
  int streams[3];            // none of them below 3
};

struct started {
  int number = -1;
  int descriptor = -1;  // of the process; readable when that has ended. Not below 3
};

/// 0 or an errno value. Blocks until the program is loaded. For the system its parent is the
/// calling thread: it inherits what that has, and the end of that is what PR_SET_PDEATHSIG waits
/// for. ENOSYS before Linux 5.4.
int start_program(const program& what, started& into) noexcept;

struct end_of_program {
  int code = -1;
  int signal = 0;
  bool core_dumped = false;
};

// All return a negated errno value on an error. A process is named by its descriptor.

/// 1, or -EAGAIN while it runs. It is gone then. -ECHILD: it has ended, but somebody else has asked
/// how, or SIGCHLD is ignored, and the system does not remember (Linux 6.15 does).
std::int64_t reap_process(int process, end_of_program& how) noexcept;
/// -ESRCH: it has ended and is gone.
int signal_process(int process, int signal) noexcept;
constexpr int kill_signal = 9;  // SIGKILL, the same everywhere
/// Ends a child and waits for that.
void discard_process(int process) noexcept;

/// "Killed"; null if there is no such signal.
const char* signal_text(int signal) noexcept;

}  // namespace gort::os
