// posix_spawn(3) does what is hard: the child borrows our memory without running fork handlers,
// blocks all signals until their handlers are gone, and reports the error of exec.
//
// Two things of ours would reach the program: the signal mask of the thread and its timer slack,
// which a child inherits from the thread that starts it, as does every thread that it makes.
#include "os/spawn.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "os/thread.hpp"

namespace gort::os {

namespace {

constexpr int first_free = 3;

// Not in the headers of older systems.
constexpr auto wait_by_descriptor = static_cast<idtype_t>(3);  // P_PIDFD
constexpr long pidfd_open_number = 434, pidfd_send_signal_number = 424;

struct attributes {
  posix_spawnattr_t value;
  posix_spawn_file_actions_t actions;
  int error;

  attributes() noexcept : error(posix_spawnattr_init(&value)) {
    if (error != 0) return;
    error = posix_spawn_file_actions_init(&actions);
    if (error != 0) posix_spawnattr_destroy(&value);
    usable = error == 0;
  }
  ~attributes() {
    if (!usable) return;
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&value);
  }
  attributes(const attributes&) = delete;
  attributes& operator=(const attributes&) = delete;

  void add(int result) noexcept {
    if (error == 0) error = result;
  }

 private:
  bool usable = false;
};

// Keeps descriptors below 3 free for the program's own.
int above_streams(int fd) noexcept {
  if (fd < 0 || fd >= first_free) return fd;
  const int copy = copy_descriptor(fd);
  close(fd);
  return copy;
}

}  // namespace

int start_program(const program& what, int& pid) noexcept {
  attributes with;
  if (with.error != 0) return with.error;
  sigset_t none, defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);  // ignored by many a server; other ignored ones are nohup's
  with.add(posix_spawnattr_setsigmask(&with.value, &none));
  with.add(posix_spawnattr_setsigdefault(&with.value, &defaults));
  with.add(posix_spawnattr_setflags(&with.value, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
  for (int i = 0; i < first_free; ++i)
    with.add(posix_spawn_file_actions_adddup2(&with.actions, what.streams[i], i));
#if __GLIBC_PREREQ(2, 34)
  with.add(posix_spawn_file_actions_addclosefrom_np(&with.actions, first_free));
#endif
  if (what.directory != nullptr)
    with.add(posix_spawn_file_actions_addchdir_np(&with.actions, what.directory));
  if (with.error != 0) return with.error;
  const unsigned slack_ns = exchange_timer_slack_ns(usual_timer_slack_ns());
  const int error = posix_spawnp(&pid, what.name, &with.actions, &with.value, what.arguments,
                                 what.environment == nullptr ? environ : what.environment);
  exchange_timer_slack_ns(slack_ns);
  return error;
}

int open_process(int pid) noexcept {
  const long fd = syscall(pidfd_open_number, pid, 0U);
  return fd < 0 ? -errno : static_cast<int>(fd);
}

std::int64_t reap_process(int process, end_of_program& how) noexcept {
  siginfo_t info{};
  if (waitid(wait_by_descriptor, static_cast<id_t>(process), &info, WEXITED | WNOHANG) != 0)
    return errno == EINTR ? -EAGAIN : -errno;
  if (info.si_pid == 0) return -EAGAIN;
  if (info.si_code == CLD_EXITED)
    how.code = info.si_status;
  else
    how.signal = info.si_status;
  how.core_dumped = info.si_code == CLD_DUMPED;
  return 1;
}

int signal_process(int process, int signal) noexcept {
  return syscall(pidfd_send_signal_number, process, signal, nullptr, 0U) == 0 ? 0 : -errno;
}

void discard_child(int pid) noexcept {
  static_assert(kill_signal == SIGKILL);
  ::kill(pid, SIGKILL);
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

int make_stream(bool reads, int (&ends)[2]) noexcept {
  const int result =
      reads ? pipe2(ends, O_CLOEXEC) : socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
  if (result != 0) return -errno;
  for (int& end : ends) end = above_streams(end);
  if (ends[0] >= 0 && ends[1] >= 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0) return 0;
  const int error = errno;
  for (int end : ends) {
    if (end >= 0) close(end);
  }
  return -error;
}

int copy_descriptor(int fd) noexcept {
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, first_free);
  return copy < 0 ? -errno : copy;
}

int open_null() noexcept {
  const int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  return fd < 0 ? -errno : above_streams(fd);
}

std::int64_t read_some(int fd, void* into, std::uint64_t bytes) noexcept {
  for (;;) {
    const ssize_t got = read(fd, into, bytes);
    if (got >= 0) return got;
    if (errno != EINTR) return -errno;
  }
}

const char* signal_text(int signal) noexcept { return sigdescr_np(signal); }

}  // namespace gort::os
