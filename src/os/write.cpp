#include "os/write.hpp"

#include <fcntl.h>
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

namespace {
constexpr int stream_count = 3;
}

void open_missing_streams() noexcept {
  const int saved_errno = errno;
  for (int i = 0; i < stream_count; ++i) {
    if (fcntl(i, F_GETFD) >= 0 || errno != EBADF) continue;
    // Not close-on-exec: other programs expect these three as well.
    const int fd = open("/dev/null", O_RDWR);  // NOLINT(android-cloexec-open)
    if (fd >= stream_count) close(fd);         // another thread was faster
  }
  errno = saved_errno;
}

void exit_now(int status) noexcept { ::_exit(status); }

void abort_now() noexcept {
  std::signal(SIGABRT, SIG_DFL);
  std::abort();
}

}  // namespace gort::os
