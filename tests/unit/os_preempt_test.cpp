// The system's side of preemption: barriers, looking at threads, the signal.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>

#include "base/sanitizer.hpp"
#include "os/preempt.hpp"
#include "support/skip.hpp"

namespace gort::os {
namespace {

std::atomic<int> interruptions{0};

void count_one(const void*) noexcept { interruptions.fetch_add(1, std::memory_order_relaxed); }

// Calls f on a thread, interrupts it three times while it sleeps, unless it returns before, and
// calls end().
template <class F, class End>
int interrupted(F f, End end) {
  handle_preemption(count_one);
  interruptions.store(0, std::memory_order_relaxed);
  std::atomic<int> id{0};
  std::atomic<bool> done{false};
  thread_handle handle;
  std::thread other([&] {
    handle = this_thread();
    id.store(handle.id, std::memory_order_release);
    f();
    done.store(true, std::memory_order_release);
  });
  while (id.load(std::memory_order_acquire) == 0) std::this_thread::yield();
  const auto is_done = [&] { return done.load(std::memory_order_acquire); };
  for (int i = 1; i <= 3; ++i) {
    while (!is_done() && activity_of(handle) != thread_activity::blocked) std::this_thread::yield();
    if (is_done()) break;
    interrupt_thread(handle);
    while (!is_done() && interruptions.load(std::memory_order_relaxed) < i)
      std::this_thread::yield();
  }
  end();
  other.join();
  return interruptions.load(std::memory_order_relaxed);
}

TEST(os_preempt, a_blocking_call_does_not_notice_the_signal) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "SKIPPED: only x86 keeps all arguments of a call";
#endif
  GORT_NOT_UNDER(base::with_tsan, "its interceptors run the handler after the call, or not at all");
  GORT_NOT_UNDER(base::with_asan, "a plain thread's signal stack is then too small to go on there");
  int result = -1;
  // It ends by itself: on a busy machine perhaps before it has been seen asleep.
  for (int times = 0; times < 2;) {
    times = interrupted(
        [&] {
          const timespec time{1, 0};
          timespec rest{};
          result = nanosleep(&time, &rest);
        },
        [] {});
    EXPECT_EQ(result, 0);
  }
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  EXPECT_EQ(interrupted(
                [&] {
                  pollfd one{ends[0], POLLIN, 0};
                  result = poll(&one, 1, -1);
                },
                [&] { EXPECT_EQ(write(ends[1], "x", 1), 1); }),
            3);
  EXPECT_EQ(result, 1) << errno;
  close(ends[0]);
  close(ends[1]);
}

TEST(os_preempt, tells_a_thread_that_sleeps_from_one_that_computes) {
  std::atomic<int> id{0};
  std::atomic<bool> stop{false};
  thread_handle handle;
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  std::thread other([&] {
    handle = this_thread();
    id.store(handle.id, std::memory_order_release);
    while (!stop.load(std::memory_order_relaxed)) {
    }
    char byte;
    EXPECT_EQ(read(ends[0], &byte, 1), 1);
  });
  while (id.load(std::memory_order_acquire) == 0) std::this_thread::yield();
  while (activity_of(handle) != thread_activity::runs) std::this_thread::yield();  // page faults
  const std::int64_t before_ns = thread_cpu_ns(handle);
  while (thread_cpu_ns(handle) < before_ns + 1'000'000) std::this_thread::yield();
  stop.store(true, std::memory_order_relaxed);
  while (activity_of(handle) != thread_activity::blocked) std::this_thread::yield();
  EXPECT_TRUE(fence_thread(handle));
  EXPECT_EQ(write(ends[1], "x", 1), 1);
  other.join();
  close(ends[0]);
  close(ends[1]);
}

TEST(os_preempt, signals_of_others_reach_the_handler_that_was_there) {
  static std::atomic<int> theirs{0};
  struct sigaction action {};
  action.sa_handler = [](int) { theirs.fetch_add(1, std::memory_order_relaxed); };
  sigaction(SIGURG, &action, nullptr);
  handle_preemption(count_one);
  interruptions.store(0, std::memory_order_relaxed);
  kill(getpid(), SIGURG);
  while (theirs.load(std::memory_order_relaxed) == 0) std::this_thread::yield();
  EXPECT_EQ(interruptions.load(std::memory_order_relaxed), 0);
}

TEST(os_preempt, there_is_a_fence) {
  EXPECT_STRNE(thread_fence_kind(), "none");
  EXPECT_EQ(fence_thread(this_thread()), fences_running_threads());  // one that runs
}

}  // namespace
}  // namespace gort::os
