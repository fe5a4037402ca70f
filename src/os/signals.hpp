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

/// Nobody has installed a handler for SIGQUIT, nor ignored it.
bool quit_is_default() noexcept;

/// Calls f in the signal handler, on the alternate stack if the thread has one.
void handle_quit(void (*f)(const register_set&) noexcept) noexcept;
/// Takes that back, unless somebody else has taken the signal over.
void forget_quit() noexcept;

/// Ends the process with `status` after that many seconds, printing `text`.
void exit_after(unsigned seconds, const char* text, int status) noexcept;

}  // namespace gort::os
