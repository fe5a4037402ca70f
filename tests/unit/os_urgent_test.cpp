// SIGURG is shared: what is not ours reaches the program's handler as if gort were not there, and
// a call that another handler has interrupted stays interrupted.
#include <gtest/gtest.h>
#include <poll.h>
#include <pthread.h>
#include <sys/select.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>
#include <thread>

#include "base/sanitizer.hpp"
#include "os/preempt.hpp"
#include "os/signals.hpp"
#include "support/program.hpp"
#include "support/skip.hpp"

namespace gort::os {
namespace {

// Where os/urgent.cpp can make a call again.
const bool on_x86 = [] {
  utsname machine{};
  return uname(&machine) == 0 && std::string(machine.machine) == "x86_64";
}();

std::atomic<int> ours{0};
void count_ours(const void*) noexcept { ours.fetch_add(1, std::memory_order_relaxed); }

// What the program's handler has seen.
struct {
  int calls;
  int code;
  int value;
  bool urgent_blocked;
  bool user_blocked;
  bool term_blocked;
} theirs;

void note_masks() {
  sigset_t now;
  pthread_sigmask(SIG_SETMASK, nullptr, &now);
  theirs.urgent_blocked = sigismember(&now, SIGURG) == 1;
  theirs.user_blocked = sigismember(&now, SIGUSR1) == 1;
  theirs.term_blocked = sigismember(&now, SIGTERM) == 1;
  ++theirs.calls;
}
void simple_handler(int) { note_masks(); }
void full_handler(int, siginfo_t* info, void*) {
  theirs.code = info->si_code;
  theirs.value = info->si_value.sival_int;
  note_masks();
}

void install(int flags, int also_masked = 0) {
  theirs = {};
  ours = 0;
  struct sigaction action {};
  if ((flags & SA_SIGINFO) != 0)
    action.sa_sigaction = full_handler;
  else
    action.sa_handler = simple_handler;
  action.sa_flags = flags;
  if (also_masked != 0) sigaddset(&action.sa_mask, also_masked);
  sigaction(SIGURG, &action, nullptr);
  handle_preemption(count_ours);
}

// Each in a process of its own: the handler that was there before is read once.
// ThreadSanitizer delivers most signals in the next call that it knows.
template <class T>
void wait_for(const T& count, int wanted) {
  while (count < wanted) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(count, wanted);
}

TEST(program, DISABLED_raised_by_the_program_itself) {
  install(SA_SIGINFO);
  raise(SIGURG);
  EXPECT_EQ(theirs.calls, 1);
  EXPECT_EQ(theirs.code, SI_TKILL);
  pthread_kill(pthread_self(), SIGURG);
  EXPECT_EQ(theirs.calls, 2);
  kill(getpid(), SIGURG);
  wait_for(theirs.calls, 3);
  EXPECT_EQ(theirs.code, SI_USER);
  sigval value{};
  value.sival_int = 42;
  sigqueue(getpid(), SIGURG, value);
  wait_for(theirs.calls, 4);
  EXPECT_EQ(theirs.code, SI_QUEUE);
  EXPECT_EQ(theirs.value, 42);
  EXPECT_EQ(ours, 0);
  interrupt_thread(this_thread());
  wait_for(ours, 1);
  EXPECT_EQ(theirs.calls, 4);
}

TEST(program, DISABLED_the_mask_that_it_asked_for) {
  install(0, SIGUSR1);
  raise(SIGURG);
  EXPECT_TRUE(theirs.urgent_blocked);
  EXPECT_TRUE(theirs.user_blocked);
  EXPECT_FALSE(theirs.term_blocked);
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  EXPECT_EQ(sigismember(&after, SIGUSR1), 0);
}

TEST(program, DISABLED_no_defer) {
  install(SA_NODEFER | SA_SIGINFO);
  raise(SIGURG);
  EXPECT_EQ(theirs.calls, 1);
  EXPECT_FALSE(theirs.urgent_blocked);
}

TEST(program, DISABLED_once_only) {
  install(static_cast<int>(SA_RESETHAND));
  for (int i = 0; i < 3; ++i) raise(SIGURG);
  EXPECT_EQ(theirs.calls, 1);
}

TEST(program, DISABLED_ignored_by_the_program) {
  std::signal(SIGURG, SIG_IGN);
  handle_preemption(count_ours);
  raise(SIGURG);
  EXPECT_EQ(ours, 0);
  interrupt_thread(this_thread());
  wait_for(ours, 1);
}

std::int64_t how_long_ms = 500;

// A thread in `call` gets `send(handle)` when it sleeps in the kernel; returns what call returned.
// If it was over before, all begins anew, with a longer one: this thread may lack a CPU.
int interrupted_once(int (*call)(), void (*send)(const thread_handle&, pthread_t)) {
  for (;; how_long_ms *= 2) {
    ours = 0;
    thread_handle handle;
    std::atomic<bool> begun{false}, over{false};
    int result = 0;
    std::thread other([&] {
      EXPECT_TRUE(use_alternate_stack());  // as threads that run goroutines do
      handle = this_thread();
      begun.store(true, std::memory_order_release);
      errno = 0;
      result = call() < 0 ? -errno : 0;
      over.store(true, std::memory_order_release);
      drop_alternate_stack();
    });
    const auto is_over = [&] { return over.load(std::memory_order_acquire); };
    while (!begun.load(std::memory_order_acquire)) std::this_thread::yield();
    while (!is_over() && activity_of(handle) != thread_activity::blocked)
      std::this_thread::yield();
    if (!is_over()) send(handle, other.native_handle());
    const bool in_time = !is_over() || result != 0;
    other.join();
    if (in_time) return result;
  }
}

int sleeps() {
  const timespec time{how_long_ms / 1000, how_long_ms % 1000 * 1'000'000};
  const int error = clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr);
  errno = error;
  return error == 0 ? 0 : -1;
}
int polls() { return poll(nullptr, 0, static_cast<int>(how_long_ms)); }
int selects() {
  timeval time{how_long_ms / 1000, how_long_ms % 1000 * 1000};
  return select(0, nullptr, nullptr, nullptr, &time);
}
int (*const calls[])() = {sleeps, polls, selects};

TEST(program, DISABLED_an_interruption_that_the_program_wants) {
  GORT_NOT_UNDER(base::with_tsan, "it runs handlers after the call");
  install(0);
  how_long_ms = 60'000;
  for (auto* call : calls)
    EXPECT_EQ(
        interrupted_once(call, [](const thread_handle&, pthread_t t) { pthread_kill(t, SIGURG); }),
        -EINTR);
}

TEST(program, DISABLED_no_interruption_where_the_program_ignores_it) {
  if (!on_x86) GTEST_SKIP() << "SKIPPED: only x86 keeps all arguments of a call";
  GORT_NOT_UNDER(base::with_tsan, "it runs handlers after the call");
  std::signal(SIGURG, SIG_DFL);
  handle_preemption(count_ours);
  for (auto* call : calls)
    EXPECT_EQ(
        interrupted_once(call, [](const thread_handle&, pthread_t t) { pthread_kill(t, SIGURG); }),
        0);
}

std::atomic<bool> in_handler{false};
std::atomic<bool> leave_handler{false};

void wait_in_handler(int) {
  in_handler.store(true, std::memory_order_release);
  while (!leave_handler.load(std::memory_order_acquire)) {
  }
}

// The program's handler interrupts the call; while it runs, SIGURG is blocked, and ours comes. The
// call must not begin again.
TEST(program, DISABLED_an_interruption_that_is_another_handler_s) {
  GORT_NOT_UNDER(base::with_tsan, "it runs handlers after the call");
  handle_preemption(count_ours);
  struct sigaction action {};
  action.sa_handler = wait_in_handler;
  sigfillset(&action.sa_mask);
  sigaction(SIGUSR1, &action, nullptr);
  how_long_ms = 60'000;
  for (auto* call : calls) {
    in_handler = leave_handler = false;
    EXPECT_EQ(interrupted_once(call,
                               [](const thread_handle& handle, pthread_t t) {
                                 pthread_kill(t, SIGUSR1);
                                 while (!in_handler.load(std::memory_order_acquire))
                                   std::this_thread::yield();
                                 interrupt_thread(handle);
                                 leave_handler.store(true, std::memory_order_release);
                               }),
              -EINTR);
    EXPECT_EQ(ours, 1);
  }
}

TEST(program, DISABLED_ours_is_not_noticed) {
  if (!on_x86) GTEST_SKIP() << "SKIPPED: only x86 keeps all arguments of a call";
  GORT_NOT_UNDER(base::with_tsan, "it runs handlers after the call");
  handle_preemption(count_ours);
  for (auto* call : calls) {
    EXPECT_EQ(interrupted_once(
                  call, [](const thread_handle& handle, pthread_t) { interrupt_thread(handle); }),
              0);
    EXPECT_EQ(ours, 1);
  }
}

TEST(os_urgent, all_programs) {
  for (const char* name :
       {"raised_by_the_program_itself", "the_mask_that_it_asked_for", "no_defer", "once_only",
        "ignored_by_the_program", "an_interruption_that_the_program_wants",
        "no_interruption_where_the_program_ignores_it", "an_interruption_that_is_another_handler_s",
        "ours_is_not_noticed"}) {
    const test::ended p = test::run_program(name);
    EXPECT_EQ(p.status, 0) << name << p.head();
  }
}

// The watchdog of a report, in a program that takes all signals in sigwait().
TEST(program, DISABLED_ends_by_its_watchdog) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  std::thread([all] {
    for (int signal;;) sigwait(&all, &signal);
  }).detach();
  exit_after(1, "late\n", 7);
  for (;;) pause();
}

TEST(os_signals, a_watchdog_where_all_signals_are_waited_for) {
  const test::ended p = test::run_program("ends_by_its_watchdog", "", 20);
  EXPECT_EQ(p.status, 7);
  EXPECT_TRUE(p.has("late\n")) << p.head();
}

}  // namespace
}  // namespace gort::os
