#include "os/preempt.hpp"

#include <fcntl.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <ctime>
#include <string_view>

#include "base/env.hpp"
#include "os/memory.hpp"
#include "os/signals.hpp"

namespace gort::os {

namespace {

enum class fence_kind { none, membarrier, off_cpu };

// /proc/self/task/N/name into `text`, terminated; 0: no such file.
std::size_t read_of_thread(const thread_handle& thread, std::string_view name, char* text,
                           std::size_t room) noexcept {
  constexpr std::string_view head = "/proc/self/task/";
  char path[64];
  char* at = std::copy(head.begin(), head.end(), path);
  at = std::to_chars(at, path + sizeof(path) - name.size() - 2, thread.id).ptr;
  *at++ = '/';
  *std::copy(name.begin(), name.end(), at) = 0;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t got = read(fd, text, room - 1);
  close(fd);
  if (got <= 0) return 0;
  text[got] = 0;
  return static_cast<std::size_t>(got);
}

// The file "syscall" tells of a thread only while that is off its CPU and not runnable; the kernel
// makes sure of that under the lock of the CPU's run queue, which the thread must pass to run
// again. So having read it is a barrier against that thread. For a running one it says "running".
thread_activity by_syscall_file(const thread_handle& thread) noexcept {
  char text[256];
  if (read_of_thread(thread, "syscall", text, sizeof(text)) == 0) return thread_activity::unknown;
  return text[0] == 'r' ? thread_activity::runs : thread_activity::blocked;
}

fence_kind choose_fence() noexcept {
  const bool allowed = base::godebug("membarrier", 1) != 0;
  if (allowed && syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0)
    return fence_kind::membarrier;
  // A thread's own file always says "running", if it can be read.
  return by_syscall_file(this_thread()) != thread_activity::unknown ? fence_kind::off_cpu
                                                                    : fence_kind::none;
}

fence_kind fence_in_use() noexcept {
  static const fence_kind chosen = choose_fence();
  return chosen;
}

void (*preempt_function)() noexcept = nullptr;  // written before the handler is set
struct sigaction previous_urgent;               // likewise

// SA_RESTART covers most system calls, but not poll, nanosleep and their like. A signal of ours
// that comes just as one of them begins to wait would end it with EINTR, which a library may not
// expect. On x86 it can be called once more: the kernel preserves its arguments, and its number
// stands in the instruction before. (Not on arm64, where the first argument is gone.)
void restart_interrupted_call([[maybe_unused]] void* raw) noexcept {
#if defined(__x86_64__)
  auto& registers = static_cast<ucontext_t*>(raw)->uc_mcontext.gregs;
  constexpr std::size_t bytes = 7;  // mov $number, %eax; syscall
  const auto pc = static_cast<std::uintptr_t>(registers[REG_RIP]);
  if (registers[REG_RAX] != -EINTR || pc % page_bytes < bytes) return;
  const auto* code = reinterpret_cast<const unsigned char*>(pc - bytes);
  const bool matches = code[0] == 0xb8 && code[5] == 0x0f && code[6] == 0x05;
  if (matches) registers[REG_RIP] = static_cast<greg_t>(pc - bytes);
#endif
}

void on_urgent(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  if (info->si_code == SI_TKILL && info->si_pid == getpid()) {
    preempt_function();
    restart_interrupted_call(context);
  } else if ((previous_urgent.sa_flags & SA_SIGINFO) != 0) {
    previous_urgent.sa_sigaction(signal, info, context);
  } else if (previous_urgent.sa_handler != SIG_DFL && previous_urgent.sa_handler != SIG_IGN) {
    previous_urgent.sa_handler(signal);
  }
  errno = saved_errno;
}

// Room for AVX-512 state, a stop in place, and a report.
constexpr std::size_t alternate_stack_bytes = std::size_t{64} << 10;

// What the thread had before: a sanitizer's, or the program's on the main thread.
thread_local stack_t previous_stack{};

}  // namespace

bool fence_thread(const thread_handle& thread) noexcept {
  switch (fence_in_use()) {
    case fence_kind::membarrier: return fence_all_threads();
    case fence_kind::off_cpu: return by_syscall_file(thread) == thread_activity::blocked;
    case fence_kind::none: return false;
  }
  return false;
}

bool fence_all_threads() noexcept {
  return fence_in_use() == fence_kind::membarrier &&
         syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

bool fences_running_threads() noexcept { return fence_in_use() == fence_kind::membarrier; }

const char* thread_fence_kind() noexcept {
  switch (fence_in_use()) {
    case fence_kind::membarrier: return "membarrier";
    case fence_kind::off_cpu: return "off-cpu";
    case fence_kind::none: return "none";
  }
  return "none";
}

thread_handle this_thread() noexcept {
  thread_handle own;
  own.id = static_cast<int>(syscall(SYS_gettid));
  clockid_t clock{};
  if (pthread_getcpuclockid(pthread_self(), &clock) == 0) own.cpu_clock = clock;
  return own;
}

bool thread_exists(const thread_handle& thread) noexcept {
  return syscall(SYS_tgkill, getpid(), thread.id, 0) == 0 || errno != ESRCH;
}

std::int64_t thread_cpu_ns(const thread_handle& thread) noexcept {
  timespec ts{};
  if (clock_gettime(thread.cpu_clock, &ts) != 0) return -1;
  return ts.tv_sec * 1'000'000'000 + ts.tv_nsec;
}

thread_activity activity_of(const thread_handle& thread) noexcept {
  // A running thread's clock goes on: two cheap calls instead of three on a file.
  const std::int64_t before_ns = thread_cpu_ns(thread);
  if (before_ns >= 0 && thread_cpu_ns(thread) != before_ns) return thread_activity::runs;
  if (const thread_activity told = by_syscall_file(thread); told != thread_activity::unknown)
    return told;
  // That file may be hidden (of a program that has changed its user); this one is not.
  char text[128];
  if (read_of_thread(thread, "stat", text, sizeof(text)) == 0) return thread_activity::unknown;
  // "12 (name) S ...": the name may hold anything, but not more than 15 characters.
  const char* end = std::strrchr(text, ')');
  if (end == nullptr || end[1] == 0) return thread_activity::unknown;
  return end[2] == 'S' || end[2] == 'D' ? thread_activity::blocked : thread_activity::runs;
}

bool use_alternate_stack() noexcept {
  void* low = mmap(nullptr, alternate_stack_bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (low == MAP_FAILED) return false;
  if (mprotect(low, page_bytes, PROT_NONE) != 0) return false;
  stack_t stack{};
  stack.ss_sp = static_cast<char*>(low) + page_bytes;
  stack.ss_size = alternate_stack_bytes - page_bytes;
  return sigaltstack(&stack, &previous_stack) == 0;
}

void drop_alternate_stack() noexcept {
  stack_t own{};
  if (sigaltstack(&previous_stack, &own) != 0) return;
  munmap(static_cast<char*>(own.ss_sp) - page_bytes, alternate_stack_bytes);
}

void handle_preemption(void (*f)() noexcept) noexcept {
  preempt_function = f;
  fence_in_use();  // chosen before anybody is in a hurry
  struct sigaction action {};
  action.sa_sigaction = on_urgent;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  // A thread parked in place must not be bothered.
  action.sa_mask = all_but_synchronous_signals();
  sigaction(SIGURG, &action, &previous_urgent);
}

void interrupt_thread(const thread_handle& thread) noexcept {
  syscall(SYS_tgkill, getpid(), thread.id, SIGURG);
}

}  // namespace gort::os
