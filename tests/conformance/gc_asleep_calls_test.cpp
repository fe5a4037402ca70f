// Threads and goroutines asleep in every kind of system call there is, each with the only gc::ptr
// to an object in its frame and a raw pointer in all registers that a call keeps. The calls are
// made by the machine's instruction, so that these are where the pointer is. Collections signal
// nobody: a thread of the program's own comes out of no call before it is woken.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include <sys/syscall.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/gc.hpp>
#include <gort/go.hpp>
#include <gort/time.hpp>

#include "base/sanitizer.hpp"
#include "support/gc_support.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"
#include "support/sleeping_calls.hpp"

namespace gort {
namespace {

using gort::test::on_a_goroutine;
using gort::test::runner;

using namespace std::chrono_literals;
using test::counted;

#if defined(__x86_64__)
constexpr bool can_hold_registers = true;
// Returns what the kernel does. %rbp may be the frame's.
[[gnu::noinline]] GORT_UNSANITIZED long call_with(const counted* raw, long number,
                                                  const test::arguments& a) {
  const auto [first, second, third, fourth, fifth, sixth] = a;
  register long a3 asm("r10") = fourth;
  register long a4 asm("r8") = fifth;
  register long a5 asm("r9") = sixth;
  register const counted* r12 asm("r12") = raw;
  register const counted* r13 asm("r13") = raw;
  register const counted* r14 asm("r14") = raw;
  register const counted* r15 asm("r15") = raw;
  long result = number;
  asm volatile("syscall"
               : "+a"(result), "+b"(raw), "+r"(r12), "+r"(r13), "+r"(r14), "+r"(r15)
               : "D"(first), "S"(second), "d"(third), "r"(a3), "r"(a4), "r"(a5)
               : "rcx", "r11", "memory");
  r12->check();
  r15->check();
  raw->check();
  return result;
}
#else
constexpr bool can_hold_registers = false;
long call_with(const counted*, long, const test::arguments&) { return 0; }
#endif

detail::atomic<int> interrupted;

[[gnu::noinline]] void sleep_in(const test::sleeping_call& what, const detail::atomic<bool>& over,
                                detail::atomic<int>& there) {
  const gc::ptr<counted> only = gc::make<counted>(1);
  there.fetch_add_acq_rel(1);  // with the test's look
  for (;;) {
    const long result = call_with(only.get(), what.number, what.with);
    if (result == -EINTR) {
      interrupted.fetch_add_relaxed(1);
      continue;
    }
    if (what.number == SYS_clock_nanosleep && !over.load_acquire()) continue;
    if (result < 0 && result != -EAGAIN)
      ADD_FAILURE() << what.name << ": " << std::strerror(static_cast<int>(-result));
    if (what.number == SYS_openat || what.number == SYS_accept4) ::close(static_cast<int>(result));
    return;
  }
}

std::function<void()> on_a_thread(std::function<void()> f) {
  auto thread = std::make_shared<std::thread>(std::move(f));
  return [thread] { gort::blocking([&] { thread->join(); }); };
}

void all_sleep(const runner& run) {
  if (!can_hold_registers) GORT_SKIP("the registers are x86-64's");
  test::with_procs(2, [&] {
    counted::reset();
    interrupted.store_relaxed(0);
    test::sleeping_calls all;
    const int n = static_cast<int>(all.calls.size());
    detail::atomic<int> there;
    std::vector<std::function<void()>> ends;
    for (const test::sleeping_call& each : all.calls)
      ends.push_back(run([&each, &all, &there] { sleep_in(each, all.over, there); }));
    while (there.load_acquire() < n) gort::sleep(1ms);  // pairs with the addition
    for (int i = 0; i < 5; ++i) {
      gort::sleep(2ms);
      test::collect_all();
    }
    EXPECT_EQ(counted::ended(), 0);
    for (const test::sleeping_call& each : all.calls) each.wake();
    for (const auto& wait : ends) wait();
    EXPECT_TRUE(test::ends(n));
    std::printf("%d calls\n", n);
  });
}

TEST(gc_asleep_calls, of_goroutines) { all_sleep(on_a_goroutine); }

TEST(gc_asleep_calls, of_plain_threads_which_nobody_signals) {
  all_sleep(on_a_thread);
  EXPECT_EQ(interrupted.load_relaxed(), 0);
}

// Before any thread is there.
const bool blocked = [] {
  sigset_t both;
  sigemptyset(&both);
  sigaddset(&both, SIGRTMIN + 7);
  sigaddset(&both, SIGRTMIN + 8);
  return sigprocmask(SIG_BLOCK, &both, nullptr) == 0;
}();

}  // namespace
}  // namespace gort
