// A signal to this process, for tests of who is told of it.
#pragma once

#include <signal.h>
#include <unistd.h>

#include "base/sanitizer.hpp"

namespace gort::test {

// ThreadSanitizer runs a handler when its thread calls the C library next, and ours sleep without
// it: so the signal goes to the thread that sends it.
inline void send_signal(int signal) {
  if constexpr (base::with_tsan)
    ::raise(signal);
  else
    ::kill(::getpid(), signal);
}

}  // namespace gort::test
