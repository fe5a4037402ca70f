#include "os/pipe.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>

#include "os/errno.hpp"
#include "os/pipe_signal.hpp"

namespace gort::os {

namespace {
constexpr int first_free = 3;
}  // namespace

int make_pipe(pipe_end ours, int (&ends)[2]) noexcept {
  if (pipe2(ends, O_CLOEXEC) != 0) return -errno;
  int error = 0;
  for (int& end : ends) {
    end = above_streams(end);
    if (end < 0) error = end;
  }
  if (ours == pipe_end::writes) {
    const int reads = ends[0];
    ends[0] = ends[1];
    ends[1] = reads;
  }
  if (error == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) error = -errno;
  if (error == 0) return 0;
  for (int end : ends) {
    if (end >= 0) close(end);
  }
  return error;
}

int copy_descriptor(int fd) noexcept {
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, first_free);
  return copy < 0 ? -errno : copy;
}

int above_streams(int fd) noexcept {
  if (fd < 0 || fd >= first_free) return fd;
  const int copy = copy_descriptor(fd);
  close(fd);
  return copy;
}

int open_null() noexcept {
  const int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  return fd < 0 ? -errno : above_streams(fd);
}

std::int64_t read_some(int fd, void* into, std::uint64_t bytes) noexcept {
  const errno_kept may_succeed_later;
  for (;;) {
    const ssize_t got = read(fd, into, bytes);
    if (got >= 0) return got;
    if (errno != EINTR) return -errno;
  }
}

std::int64_t write_some(int fd, const void* from, std::uint64_t bytes) noexcept {
  const errno_kept may_succeed_later;
  return without_pipe_signal([&]() -> std::int64_t {
    for (;;) {
      const ssize_t put = write(fd, from, bytes);
      if (put >= 0) return put;
      if (errno != EINTR) return -errno;
    }
  });
}

}  // namespace gort::os
