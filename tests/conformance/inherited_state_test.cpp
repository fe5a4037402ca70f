// What a process has when gort starts in it, or does to itself afterwards: blocked signals, signal
// stacks of libraries, closed descriptors, filters, locked memory.
// Each program below is a process of its own.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/go.hpp>
#include <gort/net.hpp>
#include <gort/runtime.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "base/sanitizer.hpp"
#include "os/proc.hpp"
#include "support/overflow.hpp"
#include "support/program.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using test::ended;
using test::run_program;

// The usual way to take signals in a program with threads.
void block_signals_and_wait_for_them() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  std::thread([all] {
    for (int signal;;) sigwait(&all, &signal);
  }).detach();
}

bool is_blocked(int signal) {
  sigset_t now;
  pthread_sigmask(SIG_SETMASK, nullptr, &now);
  return sigismember(&now, signal) == 1;
}

// One P, and a goroutine that computes until another one has had its turn.
void one_computes_until_another_has_run() {
  runtime::gomaxprocs(1);
  std::atomic<bool> stop{false};
  wait_group all;
  all.go([&] {
    while (!stop.load(std::memory_order_relaxed)) {
    }
  });
  all.go([&] {
    gort::sleep(1ms);
    stop.store(true, std::memory_order_relaxed);
  });
  all.wait();
}

TEST(program, DISABLED_overflows_with_all_signals_blocked) {
  block_signals_and_wait_for_them();
  run([] {
    wait_group all;
    all.go(test::sets_out);
    all.wait();
  });
}

TEST(program, DISABLED_computes_with_all_signals_blocked) {
  block_signals_and_wait_for_them();
  run([] {
    one_computes_until_another_has_run();
    EXPECT_TRUE(is_blocked(SIGTERM)) << "the program's threads do not want it";
    EXPECT_FALSE(is_blocked(SIGSEGV));
    (void)debug::stack();
  });
}

TEST(program, DISABLED_computes_on_a_main_thread_with_all_signals_blocked) {
  block_signals_and_wait_for_them();
  runtime::lock_os_thread();
  run([] {
    EXPECT_EQ(getpid(), static_cast<pid_t>(syscall(SYS_gettid)));
    one_computes_until_another_has_run();
  });
  EXPECT_TRUE(is_blocked(SIGURG)) << "as it was";
  EXPECT_TRUE(is_blocked(SIGSEGV));
}

TEST(inherited_state, blocked_signals) {
  const ended overflow = run_program("overflows_with_all_signals_blocked");
  EXPECT_EQ(overflow.status, 2) << overflow.head();
  EXPECT_TRUE(overflow.has("fatal error: stack overflow")) << overflow.head();
  GORT_NOT_UNDER(base::with_tsan, "it delivers no signals to a loop without calls");
  for (const char* name : {"computes_with_all_signals_blocked",
                           "computes_on_a_main_thread_with_all_signals_blocked"}) {
    const ended p = run_program(name);
    EXPECT_EQ(p.status, 0) << name << p.head();
  }
}

// Blocked signals of the thread of that name. Such a thread is there when the runtime has started,
// but has its name only when it has had a CPU.
std::uint64_t blocked_by(const std::string& name, int tries = 10'000) {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream status(task.path() / "status");
    bool is_it = false;
    for (std::string line; std::getline(status, line);) {
      if (line == "Name:\t" + name) is_it = true;
      if (is_it && line.rfind("SigBlk:", 0) == 0) return std::stoull(line.substr(7), nullptr, 16);
    }
  }
  if (tries != 0) {
    std::this_thread::sleep_for(1ms);
    return blocked_by(name, tries - 1);
  }
  ADD_FAILURE() << "no thread " << name;
  return 0;
}

TEST(inherited_state, threads_without_goroutines_run_no_handlers_of_the_program) {
  run([] {
    for (const char* name : {"gort-starter", "gort-sysmon", "gort-report"}) {
      const std::uint64_t blocked = blocked_by(name);
      for (int signal : {SIGTERM, SIGUSR1, SIGCHLD, SIGALRM, SIGQUIT, SIGURG})
        EXPECT_NE(blocked >> (signal - 1) & 1, 0u) << name << " " << signal;
      for (int signal : {SIGSEGV, SIGBUS})
        EXPECT_EQ(blocked >> (signal - 1) & 1, 0u) << name << " " << signal;
    }
  });
}

TEST(inherited_state, a_signal_stack_that_a_library_has_left) {
  GORT_NOT_UNDER(base::with_asan, "it unmaps that stack itself");
  constexpr std::size_t bytes = std::size_t{1} << 20;
  void* area = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(area, MAP_FAILED);
  run([&] {
    std::atomic<int> thread{0};
    wait_group all;
    all.go([&] {
      runtime::lock_os_thread();  // and never unlocked: the thread ends
      thread = static_cast<int>(syscall(SYS_gettid));
      stack_t own{};
      own.ss_sp = static_cast<char*>(area) + bytes / 4;
      own.ss_size = bytes / 4;
      EXPECT_EQ(sigaltstack(&own, nullptr), 0);
    });
    all.wait();
    while (syscall(SYS_tgkill, getpid(), thread.load(std::memory_order_relaxed), 0) == 0)
      gort::sleep(1ms);
  });
  std::vector<unsigned char> residence(bytes / 4096);
  EXPECT_EQ(mincore(area, bytes, residence.data()), 0) << "part of it is gone, errno " << errno;
  munmap(area, bytes);
}

// Replaces itself until none are left, while threads are being made: meanwhile the system makes no
// thread of a process.
TEST(program, DISABLED_executes_itself_again_and_again) {
  const char* text = std::getenv("GORT_TEST_LEFT");
  const int left = text == nullptr ? 0 : std::stoi(text);
  if (left == 0) return;
  run([&] {
    for (int i = 0; i < 60; ++i) {
      go([i] {
        for (int k = 0; k < 3; ++k)
          std::this_thread::sleep_for(std::chrono::microseconds(200 + 37 * i));
      });
    }
    std::this_thread::sleep_for(std::chrono::microseconds(100 + left % 7 * 300));
    setenv("GORT_TEST_LEFT", std::to_string(left - 1).c_str(), 1);
    execl("/proc/self/exe", "test", "--gtest_also_run_disabled_tests",
          "--gtest_filter=*.DISABLED_executes_itself_again_and_again", nullptr);
    FAIL() << errno;
  });
}

TEST(inherited_state, an_exec_while_a_thread_is_made) {
  const ended p = run_program("executes_itself_again_and_again",
                              "GOTRACEBACK=none GORT_TEST_LEFT=" +
                                  std::string(base::with_asan || base::with_tsan ? "20" : "200"));
  EXPECT_EQ(p.status, 0) << p.head();
}

std::string target_of(int fd) {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), error).string();
}

TEST(program, DISABLED_starts_with_closed_descriptors) {
  const int saved = fcntl(1, F_DUPFD_CLOEXEC, 100);
  for (int fd : {0, 1, 2}) close(fd);
  std::string before, after;
  run([&] {
    for (int fd : {0, 1, 2}) before += target_of(fd) + " ";
    for (int fd : {0, 1, 2}) close(fd);
    const net::listener listening = net::listen("127.0.0.1:0");
    const net::conn c =
        net::dial(background(), "127.0.0.1:" + std::to_string(listening.local_endpoint().port()));
    for (int fd : {0, 1, 2}) after += target_of(fd);
  });
  dup2(saved, 1);
  dup2(saved, 2);
  EXPECT_EQ(before, "/dev/null /dev/null /dev/null ");
  EXPECT_EQ(after, "") << "neither the poller nor a socket";
}

TEST(inherited_state, closed_standard_descriptors) {
  const ended p = run_program("starts_with_closed_descriptors");
  EXPECT_EQ(p.status, 0) << p.head();
}

// The calling thread, or with `all` every one, gets EPERM for that call from now on.
bool forbid(unsigned call, bool all) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{4, code};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, all ? SECCOMP_FILTER_FLAG_TSYNC : 0,
                 &program) == 0;
}

constexpr int cannot_be_tried = 77;

// Waits for the network and for time while the poller's call is refused.
TEST(program, DISABLED_waits_without_epoll_pwait2) {
  constexpr unsigned epoll_pwait2 = 441;
  if (!forbid(epoll_pwait2, true)) _exit(cannot_be_tried);
  run([] {
    const net::listener listening = net::listen("127.0.0.1:0");
    go([&] {
      std::error_code error;
      (void)const_cast<net::listener&>(listening).accept(error);
    });
    gort::sleep(20ms);
    rusage before{}, after{};
    getrusage(RUSAGE_SELF, &before);
    gort::sleep(1s);
    getrusage(RUSAGE_SELF, &after);
    // One that asks again and again uses all that it gets: a second, or its share of it.
    const auto ms = [](const rusage& use) {
      return (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000 +
             (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1000;
    };
    EXPECT_LT(ms(after) - ms(before), 100);
  });
}

// Sandboxes itself when the runtime has started.
TEST(program, DISABLED_blocks_without_membarrier) {
  run([] {
    runtime::gomaxprocs(1);
    if (!forbid(SYS_membarrier, true)) _exit(cannot_be_tried);
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    wait_group all;
    all.go([&] {
      char byte;
      EXPECT_EQ(read(ends[0], &byte, 1), 1);
    });
    all.go([&] {
      gort::sleep(1ms);  // the other one blocks, and with it the P
      EXPECT_EQ(write(ends[1], "x", 1), 1);
    });
    all.wait();
  });
}

TEST(program, DISABLED_is_preempted_without_marked_signals) {
  if (!forbid(SYS_rt_tgsigqueueinfo, true)) _exit(cannot_be_tried);
  run([] { one_computes_until_another_has_run(); });
}

TEST(program, DISABLED_is_preempted_without_room_for_signals) {
  const rlimit none{0, 0};
  ASSERT_EQ(setrlimit(RLIMIT_SIGPENDING, &none), 0);
  run([] { one_computes_until_another_has_run(); });
}

TEST(program, DISABLED_locks_its_memory_later) {
  run([] {
    wait_group few;
    for (int i = 0; i < 10; ++i) few.go([] { gort::sleep(1ms); });
    few.wait();
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) _exit(cannot_be_tried);
    wait_group many;
    for (int i = 0; i < 200; ++i) many.go([] { gort::sleep(10ms); });
    many.wait();
    munlockall();
  });
}

TEST(inherited_state, calls_that_are_refused) {
  for (const char* name :
       {"waits_without_epoll_pwait2", "blocks_without_membarrier",
        "is_preempted_without_marked_signals", "is_preempted_without_room_for_signals"}) {
    if (base::with_tsan && std::string(name).rfind("is_preempted", 0) == 0) continue;
    const ended p = run_program(name);
    if (p.status == cannot_be_tried) GORT_SKIP("no seccomp");
    EXPECT_EQ(p.status, 0) << name << p.head();
  }
}

TEST(inherited_state, memory_that_is_locked_later) {
  GORT_NOT_UNDER(base::with_asan || base::with_tsan, "their shadow is terabytes");
  const ended p = run_program("locks_its_memory_later");
  if (p.status == cannot_be_tried) GORT_SKIP("RLIMIT_MEMLOCK does not let it");
  EXPECT_EQ(p.status, 0) << p.head();
}

}  // namespace
}  // namespace gort
