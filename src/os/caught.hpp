// Signals that the program wants to be told of, or not bothered with (gort::signal).
#pragma once

#include <csignal>
#include <cstdint>

namespace gort::os {

/// Signals 1 to 64: number n is bit n - 1.
using signal_set = std::uint64_t;
constexpr int signals_max = 64;
constexpr signal_set set_of(int signal) noexcept {
  return signal >= 1 && signal <= signals_max ? signal_set{1} << (signal - 1) : 0;
}

/// All but SIGKILL, SIGSTOP and those that the C library keeps for itself.
signal_set catchable_signals() noexcept;

/// What the handler calls when a signal has come and none had since take_caught(). Before the first
/// catch_signals().
void when_caught(void (*f)() noexcept) noexcept;
/// Those that have come.
signal_set take_caught() noexcept;
/// Whether any has; as exact as take_caught().
bool any_caught() noexcept;

/// Lets the calling thread, a helper, take these and no others but the synchronous ones.
void take_on_this_thread(signal_set which) noexcept;

// Each of what follows is one or several system calls, and never blocks.

/// From now on they are noted. SIGURG, SIGSEGV and SIGBUS only if somebody has sent them.
void catch_signals(signal_set which) noexcept;
void ignore_signals(signal_set which) noexcept;
/// They do what they did before the first of the two calls above; unless somebody else has changed
/// that since, who keeps them.
void restore_signals(signal_set which) noexcept;
bool is_ignored(int signal) noexcept;
/// Sends one to this process.
void send_again(int signal) noexcept;

/// In a forked child, which has nobody to tell.
void restore_all_signals() noexcept;

// For handlers of ours that stay in their place.

/// Says so, before it is installed; returns what it replaces, which is none of ours [caught-5].
struct sigaction handler_stays(int signal) noexcept;
/// It goes: what it has replaced takes its place, or the signal is caught or ignored as others are,
/// if that is wanted. Null: somebody else's handler is there.
void handler_leaves(int signal, const struct sigaction* put_back) noexcept;
/// Called in one for a signal that is not its own: true if that is settled by this.
bool settle_sent(int signal) noexcept;

}  // namespace gort::os
