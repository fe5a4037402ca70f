// Starting programs, and watching them end.
#pragma once

#include <cstdint>

namespace gort::os {

struct program {
  const char* name;  // searched for in PATH if it has no slash
  char* const* arguments;
  char* const* environment;
  const char* directory;  // null: where we are
  int streams[3];         // none of them below 3
};

/// 0 or an errno value. Blocks until the program is loaded.
int start_program(const program& what, int& pid) noexcept;

struct end_of_program {
  int code = -1;
  int signal = 0;
  bool core_dumped = false;
};

// All return a negated errno value on an error.

/// A descriptor that becomes readable when the process, a child, ends.
int open_process(int pid) noexcept;
/// 1, or -EAGAIN while it runs. It is gone then.
std::int64_t reap_process(int process, end_of_program& how) noexcept;
int signal_process(int process, int signal) noexcept;
constexpr int kill_signal = 9;  // SIGKILL, the same everywhere
/// Ends a child and waits for that.
void discard_child(int pid) noexcept;

/// Not inherited by programs, none below 3; ends[0] is ours and non-blocking. For reading: of a
/// pipe, else of a Unix socket.
int make_stream(bool reads, int (&ends)[2]) noexcept;
/// A copy of fd, not below 3.
int copy_descriptor(int fd) noexcept;
int open_null() noexcept;
std::int64_t read_some(int fd, void* into, std::uint64_t bytes) noexcept;

/// "Killed"; null if there is no such signal.
const char* signal_text(int signal) noexcept;

}  // namespace gort::os
