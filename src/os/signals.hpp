// Signals as far as reports need them.
#pragma once

#include <csignal>
#include <cstddef>
#include <cstdint>

namespace gort::os {

struct register_set {
  struct entry {
    const char* name;
    std::uint64_t value;
  };
  static constexpr std::size_t registers_max = 40;
  std::uint64_t pc = 0;
  std::size_t count = 0;
  entry values[registers_max] = {};
};

/// What a handler blocks that must not be bothered by what others could handle: everything but the
/// signals that the thread itself raises.
sigset_t all_but_synchronous_signals() noexcept;

/// While one exists the calling thread, and what it starts, takes no others.
class only_synchronous_signals {
 public:
  only_synchronous_signals() noexcept;
  ~only_synchronous_signals();
  only_synchronous_signals(const only_synchronous_signals&) = delete;
  only_synchronous_signals& operator=(const only_synchronous_signals&) = delete;

 private:
  sigset_t before_;
};

/// Threads that run goroutines begin with the signal mask that the calling thread has now. Once, at
/// the start, before there are any.
void keep_program_mask() noexcept;
/// Gives the calling thread, one of ours, that mask.
void use_program_mask() noexcept;

/// Whatever the thread blocks, these it must take to run goroutines: the synchronous ones, for
/// reports, and SIGURG where that is used. Returns the mask that it had.
sigset_t open_signals_of_goroutines() noexcept;
void restore_signals(const sigset_t& mask) noexcept;

/// The program has installed no handler for SIGQUIT, nor ignored it; that it was ignored when the
/// process began (a script's background job) does not count.
bool quit_is_default() noexcept;

/// Calls f in the signal handler, on the alternate stack if the thread has one.
void handle_quit(void (*f)(const register_set&) noexcept) noexcept;
/// Takes that back, unless somebody else has taken the signal over.
void forget_quit() noexcept;

/// Ends the process with `status` after that many seconds, printing `text`. The calling thread must
/// go on existing.
void exit_after(unsigned seconds, const char* text, int status) noexcept;

}  // namespace gort::os
