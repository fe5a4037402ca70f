// Starting a program: clone(2) with a child that borrows our memory, as vfork(2) does, runs no fork
// handlers, and gives the descriptor of the process together with its number.
//
// The number alone is not enough. The process may have ended, and been reaped by another thread of
// the program or by the system (SIGCHLD ignored), before it could be asked for its descriptor; the
// number may be another process's by then.
//
// Invariants
//   [spawn-1] The calling thread sleeps in clone() until the child has executed the program or
//             ended; so the child may use the caller's memory and thread-local words. It writes
//             nothing but `order::error` and its own stack, and calls nothing that could take a
//             lock: system calls without the C library.
//   [spawn-2] The child runs with all signals blocked until no signal has a handler any more: our
//             handlers must not run in it.
//   [spawn-3] What the thread has and the program should not: signal mask, timer slack, descriptors
//             other than the streams. (The threads that the program makes inherit the slack that
//             its parent had at the start, so that is changed here and not in the child.) What it
//             keeps: all else that Linux has per thread (CPU affinity, scheduling policy,
//             namespaces, capabilities) or per process.
//
// Rejected: posix_spawn(3) (glibc gives descriptors of processes from 2.39 on); a child that only
// shares memory while the thread goes on (neither valgrind nor qemu's user mode knows such).
#include "os/spawn.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/sanitizer.hpp"
#include "os/errno.hpp"
#include "os/pipe.hpp"
#include "os/system_call.hpp"
#include "os/thread.hpp"

// By its other name, by which ThreadSanitizer does not take it for a fork() that ends all threads.
extern "C" int __clone(int (*body)(void*), void* stack, int flags, void* argument, ...);

namespace gort::os {

namespace {

constexpr int first_free = 3;
constexpr int signals = 64;
constexpr long mask_bytes = 8;  // of the kernel's sigset_t
constexpr std::size_t child_stack_bytes = std::size_t{32} << 10;

// Not in the headers of older systems.
constexpr int clone_pidfd = 0x1000;
constexpr auto wait_by_descriptor = static_cast<idtype_t>(3);  // P_PIDFD
constexpr long pidfd_send_signal_number = 424, close_range_number = 436;

struct order {
  const program* what;
  char* const* environment;
  int error;  // why it could not be executed; written by the child
};

// What rt_sigaction(2) takes; all zero is the default action.
struct kernel_action {
  std::uintptr_t handler = 0;
  unsigned long flags = 0;
  std::uintptr_t restorer = 0;
  std::uint64_t mask = 0;
};

// Ignored signals stay so (nohup) but for SIGPIPE, which many a server ignores.
void remove_handlers() noexcept {
  for (int signal = 1; signal <= signals; ++signal) {
    kernel_action now;
    if (system_call(SYS_rt_sigaction, signal, 0, word(&now), mask_bytes) != 0) continue;
    const auto ignored = reinterpret_cast<std::uintptr_t>(SIG_IGN);
    if (now.handler == 0 || (now.handler == ignored && signal != SIGPIPE)) continue;
    const kernel_action by_default;
    system_call(SYS_rt_sigaction, signal, word(&by_default), 0, mask_bytes);
  }
}

struct directory_entry {  // of getdents64(2)
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t bytes;
  std::uint8_t type;
  char name[1];
};

// Before Linux 5.9, or where a filter knows no close_range(2).
void close_listed() noexcept {
  const long list = system_call(SYS_openat, AT_FDCWD, word("/proc/self/fd"),
                                O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (list < 0) return;
  alignas(8) char text[2048];
  for (;;) {
    const long got =
        system_call(SYS_getdents64, list, word(text), static_cast<long>(sizeof text), 0);
    if (got <= 0) return;
    bool closed = false;
    for (long at = 0; at < got;) {
      const auto* entry = reinterpret_cast<const directory_entry*>(text + at);
      at += entry->bytes;
      long fd = 0;
      const char* digit = entry->name;
      for (; *digit >= '0' && *digit <= '9'; ++digit) fd = fd * 10 + (*digit - '0');
      if (digit == entry->name || *digit != 0 || fd < first_free || fd == list) continue;
      system_call(SYS_close, fd, 0, 0, 0);
      closed = true;
    }
    if (closed) system_call(SYS_lseek, list, 0, SEEK_SET, 0);  // places have moved
  }
}

long set_up(const order& o) noexcept {
  remove_handlers();
  for (int i = 0; i < first_free; ++i) {
    if (const long made = system_call(SYS_dup3, o.what->streams[i], i, 0, 0); made < 0) return made;
  }
  if (system_call(close_range_number, first_free, ~0U, 0, 0) != 0) close_listed();
  if (o.what->directory != nullptr) {
    if (const long moved = system_call(SYS_chdir, word(o.what->directory), 0, 0, 0); moved < 0)
      return moved;
  }
  const std::uint64_t none = 0;
  return system_call(SYS_rt_sigprocmask, SIG_SETMASK, word(&none), 0, mask_bytes);
}

// As execvp(3) looks through PATH. Returns only if nothing could be executed.
long execute(const order& o) noexcept {
  long first = -ENOENT;
  bool denied = false;
  for (const char* const* file = o.what->files; *file != nullptr; ++file) {
    const long error =
        system_call(SYS_execve, word(*file), word(o.what->arguments), word(o.environment), 0);
    switch (-error) {
      case EACCES: denied = true; break;
      case ENOENT:
      case ENOTDIR:
      case ENODEV:
      case ENAMETOOLONG:
      case ESTALE:
      case ETIMEDOUT: first = file == o.what->files ? error : first; break;
      default: return error;
    }
  }
  return denied ? -EACCES : first;
}

// Never returns, so a sanitizer's marks on its frame would stay [spawn-1].
GORT_UNSANITIZED int child_main(void* raw) {
  auto& o = *static_cast<order*>(raw);
  long result = set_up(o);
  if (result >= 0) result = execute(o);
  o.error = static_cast<int>(-result);
  constexpr int as_shells_do = 127;
  for (;;) system_call(SYS_exit_group, as_shells_do, 0, 0, 0);
}

// Since Linux 5.4. Asked each time: to be told once, by a filter, would not be for ever.
bool waits_by_descriptor() noexcept {
  const errno_kept asked_only;
  constexpr id_t nobodys = 0x7fffffff;
  siginfo_t info{};
  return waitid(wait_by_descriptor, nobodys, &info, WEXITED | WNOHANG) != 0 && errno == EBADF;
}

int wait_for_end(int process) noexcept {
  siginfo_t info{};
  int result;
  do {
    result = waitid(wait_by_descriptor, static_cast<id_t>(process), &info, WEXITED);
  } while (result != 0 && errno == EINTR);
  return result;
}

// How a process has ended that somebody else has asked: what the ioctl PIDFD_GET_INFO tells.
bool look_up_end(int process, int& status) noexcept {
  struct {  // pidfd_info, first version
    std::uint64_t wanted;
    std::uint64_t cgroup;
    std::uint32_t numbers[11];
    std::int32_t status;
  } info{};
  static_assert(sizeof info == 64);
  constexpr std::uint64_t exit_bit = 1 << 3;
  info.wanted = exit_bit;
  if (ioctl(process, _IOWR(0xff, 11, info), &info) != 0 || (info.wanted & exit_bit) == 0)
    return false;
  status = info.status;
  return true;
}

}  // namespace

int start_program(const program& what, started& into) noexcept {
  const errno_kept it_may_yet_succeed;
  if (!waits_by_descriptor()) return ENOSYS;
  void* stack = mmap(nullptr, child_stack_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return errno;
  order o{&what, what.environment == nullptr ? environ : what.environment, 0};
  const unsigned slack_ns = exchange_timer_slack_ns(usual_timer_slack_ns());
  // The C library's own signals too, which its functions leave out [spawn-2].
  const std::uint64_t all = ~std::uint64_t{0};
  std::uint64_t before = 0;
  system_call(SYS_rt_sigprocmask, SIG_SETMASK, word(&all), word(&before), mask_bytes);
  const int number = __clone(child_main, static_cast<char*>(stack) + child_stack_bytes,
                             CLONE_VM | CLONE_VFORK | clone_pidfd | SIGCHLD, &o, &into.descriptor);
  int error = number < 0 ? errno : o.error;
  system_call(SYS_rt_sigprocmask, SIG_SETMASK, word(&before), 0, mask_bytes);
  exchange_timer_slack_ns(slack_ns);
  base::stack_unpoison(stack, child_stack_bytes);  // what has ended by execve() left frames there
  munmap(stack, child_stack_bytes);
  if (number < 0) return error;
  into.number = number;
  if (error != 0) {
    wait_for_end(into.descriptor);
    close(into.descriptor);
    return error;
  }
  const int kept = above_streams(into.descriptor);
  if (kept < 0) {
    discard_process(into.descriptor);
    close(into.descriptor);
    error = -kept;
  }
  into.descriptor = kept;
  return error;
}

std::int64_t reap_process(int process, end_of_program& how) noexcept {
  const errno_kept it_may_yet_succeed;
  siginfo_t info{};
  if (waitid(wait_by_descriptor, static_cast<id_t>(process), &info, WEXITED | WNOHANG) != 0) {
    if (errno == EINTR) return -EAGAIN;
    const int error = errno;
    int status = 0;
    if (error != ECHILD || !look_up_end(process, status)) return -error;
    if (WIFEXITED(status))
      how.code = WEXITSTATUS(status);
    else
      how.signal = WTERMSIG(status);
    how.core_dumped = WCOREDUMP(status);
    return 1;
  }
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

void discard_process(int process) noexcept {
  static_assert(kill_signal == SIGKILL);
  signal_process(process, SIGKILL);
  wait_for_end(process);
}

const char* signal_text(int signal) noexcept { return sigdescr_np(signal); }

}  // namespace gort::os
