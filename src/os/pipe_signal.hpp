// Writing to a pipe or socket whose reader is gone raises SIGPIPE, whose default is to end the
// process. Where a call has no flag against that, SIGPIPE is blocked in the thread around it, and
// one that the call has made pending is taken away again. Changing the process's disposition
// instead is not a library's business.
#pragma once

#include <cerrno>
#include <csignal>
#include <ctime>

namespace gort::os {

/// call() returns a negated errno value on an error.
template <class Call>
auto without_pipe_signal(Call call) noexcept {
  sigset_t pipe;
  sigset_t before;
  sigset_t pending;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, &before);
  sigpending(&pending);
  const bool was_pending = sigismember(&pending, SIGPIPE) == 1;
  const auto result = call();
  if (result == -EPIPE && !was_pending) {
    // Raised for this thread, so it is there now if anybody raised it.
    const timespec at_once{};
    while (sigtimedwait(&pipe, nullptr, &at_once) < 0 && errno == EINTR) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return result;
}

}  // namespace gort::os
