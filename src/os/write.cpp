#include "os/write.hpp"

#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstdlib>

namespace gort::os {

void write_all(int fd, const char* text, std::size_t bytes) noexcept {
  while (bytes != 0) {
    const ssize_t written = ::write(fd, text, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

void exit_now(int status) noexcept { ::_exit(status); }

void abort_now() noexcept {
  std::signal(SIGABRT, SIG_DFL);
  std::abort();
}

}  // namespace gort::os
