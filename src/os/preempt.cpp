#include "os/preempt.hpp"

#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>

#include <gort/detail/atomic.hpp>

#include "base/env.hpp"
#include "os/memory.hpp"
#include "os/proc.hpp"
#include "os/system_call.hpp"

namespace gort::os {

namespace {

enum class fence_kind { none, membarrier, off_cpu };

// The file "syscall" tells of a thread only while that is off its CPU and not runnable; the kernel
// makes sure of that under the lock of the CPU's run queue, which the thread must pass to run
// again. So having read it is a barrier against that thread. For a running one it says "running".
thread_activity by_syscall_file(const thread_handle& thread) noexcept {
  char text[256];
  if (read_of_thread(thread.id, "syscall", text, sizeof(text)) == 0)
    return thread_activity::unknown;
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

// The last membarrier() was refused: a program may forbid itself calls when it has started.
detail::atomic<bool> membarrier_refused{false};  // a hint

fence_kind fence_in_use() noexcept {
  static const fence_kind chosen = choose_fence();
  return chosen;
}

// Room for AVX-512 state, a stop in place, and a report.
constexpr std::size_t alternate_stack_bytes = std::size_t{64} << 10;

// What the thread had before: a sanitizer's, or the program's on the main thread.
thread_local stack_t previous_stack{};
thread_local char* own_stack = nullptr;  // with its guard; null: none

}  // namespace

bool fence_thread(const thread_handle& thread) noexcept {
  switch (fence_in_use()) {
    case fence_kind::membarrier:
      if (fence_all_threads()) return true;
      [[fallthrough]];
    case fence_kind::off_cpu: return by_syscall_file(thread) == thread_activity::blocked;
    case fence_kind::none: return false;
  }
  return false;
}

bool fence_all_threads() noexcept {
  if (fence_in_use() != fence_kind::membarrier) return false;
  const bool done = system_call(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0, 0) == 0;
  if (done == membarrier_refused.load_relaxed()) membarrier_refused.store_relaxed(!done);
  return done;
}

bool fences_running_threads() noexcept {
  return fence_in_use() == fence_kind::membarrier && !membarrier_refused.load_relaxed();
}

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
  if (read_of_thread(thread.id, "stat", text, sizeof(text)) == 0) return thread_activity::unknown;
  // "12 (name) S ...": the name may hold anything, but not more than 15 characters.
  const char* end = std::strrchr(text, ')');
  if (end == nullptr || end[1] == 0) return thread_activity::unknown;
  return end[2] == 'S' || end[2] == 'D' ? thread_activity::blocked : thread_activity::runs;
}

bool waits_for_page(const thread_handle& thread) noexcept {
  char text[256];
  return read_of_thread(thread.id, "syscall", text, sizeof(text)) != 0 && text[0] == '-';
}

bool use_alternate_stack() noexcept {
  void* low = mmap(nullptr, alternate_stack_bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (low == MAP_FAILED) return false;
  stack_t stack{};
  stack.ss_sp = static_cast<char*>(low) + page_bytes;
  stack.ss_size = alternate_stack_bytes - page_bytes;
  if (mprotect(low, page_bytes, PROT_NONE) != 0 || sigaltstack(&stack, &previous_stack) != 0) {
    munmap(low, alternate_stack_bytes);
    return false;
  }
  own_stack = static_cast<char*>(low);
  return true;
}

memory_range own_alternate_stack() noexcept {
  if (own_stack == nullptr) return {};
  const auto low = reinterpret_cast<std::uintptr_t>(own_stack);
  return {low + page_bytes, low + alternate_stack_bytes};
}

void drop_alternate_stack() noexcept {
  if (own_stack == nullptr) return;
  stack_t now{};
  // A library may have put one of its own in place, and left it: then that stays.
  const bool still_own = sigaltstack(nullptr, &now) == 0 && now.ss_sp == own_stack + page_bytes;
  if (still_own && sigaltstack(&previous_stack, nullptr) != 0) return;
  munmap(own_stack, alternate_stack_bytes);
  own_stack = nullptr;
}

}  // namespace gort::os
