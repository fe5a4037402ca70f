// Too many threads: the limit that the program has set, and the one of the system.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "support/program.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using test::ended;
using test::run_program;

// So many goroutines that each block a thread until they are all there.
void block_threads(int count) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(pipe2(pipe.data(), O_CLOEXEC), 0);
  wait_group all;
  for (int i = 0; i < count; ++i) {
    all.go([&] {
      char c;
      blocking([&] { ASSERT_EQ(read(pipe[0], &c, 1), 1); });
    });
  }
  while (debug::read_scheduler_counts().threads < static_cast<std::uint64_t>(count))
    runtime::gosched();
  for (int i = 0; i < count; ++i) ASSERT_EQ(write(pipe[1], "x", 1), 1);
  all.wait();
}

TEST(program, DISABLED_more_threads_than_set) {
  run([] {
    if (debug::set_max_threads(12) != 10'000) std::abort();
    if (debug::set_max_threads(12) != 12) std::abort();
    block_threads(20);
  });
}

TEST(program, DISABLED_as_many_threads_as_set) {
  run([] {
    debug::set_max_threads(40);
    block_threads(20);
    debug::set_max_threads(std::int64_t{1} << 40);
  });
}

TEST(program, DISABLED_too_many_threads_already) {
  run([] {
    block_threads(20);
    try {
      debug::set_max_threads(5);
    } catch (...) {
      std::abort();
    }
  });
}

TEST(program, DISABLED_no_threads_at_all) { debug::set_max_threads(0); }

TEST(program, DISABLED_locked_goroutines_in_turn) {
  run([] {
    debug::set_max_threads(40);
    for (int i = 0; i < 300; ++i) {  // each takes its thread along
      wait_group one;
      one.go([] {
        runtime::lock_os_thread();
        runtime::gosched();
      });
      one.wait();
      // Until it is gone: no more than a few may be on their way out.
      while (debug::read_scheduler_counts().threads > 20) runtime::gosched();
    }
  });
}

TEST(program, DISABLED_no_more_from_the_system) {
  run([] {
    // The limit does not hold for root.
    constexpr uid_t nobody = 65534;
    if (getuid() == 0 && setresuid(nobody, nobody, nobody) != 0) std::abort();
    const rlimit one{1, 1};
    if (setrlimit(RLIMIT_NPROC, &one) != 0) std::abort();
    block_threads(20);
  });
}

// Those of this user, so that a limit can be set some above.
rlim_t threads_of_user() {
  rlim_t count = 0;
  for (const auto& process : std::filesystem::directory_iterator("/proc")) {
    struct stat status;
    if (stat(process.path().c_str(), &status) != 0 || status.st_uid != getuid()) continue;
    std::error_code gone;
    for (std::filesystem::directory_iterator each(process.path() / "task", gone), end; each != end;
         each.increment(gone))
      ++count;
  }
  return count;
}

std::int64_t own_cpu_ns() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return used.tv_sec * std::int64_t{1'000'000'000} + used.tv_nsec;
}

// Three times as many as there are threads for, each for several slices, then each for ever.
TEST(program, DISABLED_fewer_threads_than_those_that_compute) {
  run([] {
    // The limit does not hold for root; and nobody else's threads may come and go beside ours.
    const auto somebody = static_cast<uid_t>(20'000 + getpid() % 40'000);
    if (getuid() == 0 && setresuid(somebody, somebody, somebody) != 0) std::abort();
    rlimit limit{};
    if (getrlimit(RLIMIT_NPROC, &limit) != 0) std::abort();
    const rlim_t before = std::exchange(limit.rlim_cur, threads_of_user() + 12);
    if (setrlimit(RLIMIT_NPROC, &limit) != 0) std::abort();
    constexpr int many = 36;
    wait_group all;
    for (int i = 0; i < many; ++i) {
      all.go([] {
        const std::int64_t end_ns = own_cpu_ns() + 60'000'000;
        while (own_cpu_ns() < end_ns) {
        }
      });
    }
    all.wait();
    block_threads(6);  // there are threads for those that block

    limit.rlim_cur = before;
    if (setrlimit(RLIMIT_NPROC, &limit) != 0) std::abort();
    std::atomic<int> ran{0};
    for (int i = 0; i < many; ++i) {
      all.go([&] {
        ran.fetch_add(1, std::memory_order_relaxed);
        while (ran.load(std::memory_order_relaxed) != many) {
        }
      });
    }
    all.wait();
    std::puts("all have run");
  });
}

struct slow_to_go {
  bool slow = false;
  ~slow_to_go() {
    if (slow) std::this_thread::sleep_for(50ms);
  }
};
thread_local slow_to_go of_thread;

// Locked goroutines are asleep like any other.
TEST(program, DISABLED_deadlock_of_locked_goroutines) {
  run([] {
    auto never = make_chan<int>();
    for (int i = 0; i < 3; ++i) {
      go([never] {
        runtime::lock_os_thread();
        blocking([] {});
        std::this_thread::sleep_for(60ms);  // loses its processor behind its back
        never.recv();
      });
    }
    // The last to end, slowly, with its thread: only then can anybody say that all are asleep.
    go([] {
      gort::sleep(20ms);
      runtime::lock_os_thread();
      of_thread.slow = true;
    });
    runtime::lock_os_thread();
    never.recv();
  });
}

TEST(program, DISABLED_deadlock_on_the_main_thread) {
  runtime::lock_os_thread();
  run([] {
    auto never = make_chan<int>();
    go([never] { never.recv(); });
    never.recv();
  });
}

TEST(program, DISABLED_goexit_on_the_main_thread) {
  runtime::lock_os_thread();
  run([] {
    go([] { runtime::gosched(); });
    runtime::goexit();
  });
}

TEST(threads, deadlocks_of_locked_goroutines_are_noticed) {
  for (const char* name : {"deadlock_of_locked_goroutines", "deadlock_on_the_main_thread"}) {
    const ended p = run_program(name);
    EXPECT_EQ(p.status, 2) << name << p.text;
    EXPECT_TRUE(
        p.has("fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive, "
              "locked to thread]:\n"))
        << name << p.text;
  }
  const ended p = run_program("goexit_on_the_main_thread");
  EXPECT_EQ(p.status, 2) << p.text;
  EXPECT_TRUE(p.has("fatal error: no goroutines (main called runtime.Goexit) - deadlock!"))
      << p.text;
}

TEST(threads, one_more_than_allowed_ends_the_process_with_status_1) {
  const ended p = run_program("more_threads_than_set");
  EXPECT_EQ(p.status, 1);
  EXPECT_TRUE(p.has("runtime: program exceeds 12-thread limit\nfatal error: thread exhaustion\n"))
      << p.text;
  EXPECT_TRUE(p.has("block_threads")) << "the goroutines' stacks\n" << p.text;
}

TEST(threads, as_many_as_allowed_are_fine) {
  const ended p = run_program("as_many_threads_as_set");
  EXPECT_EQ(p.status, 0) << p.text;
}

TEST(threads, a_limit_below_what_exists_is_exceeded_at_once) {
  const ended p = run_program("too_many_threads_already");
  EXPECT_EQ(p.status, 1);
  EXPECT_TRUE(p.has("runtime: program exceeds 5-thread limit\nfatal error: thread exhaustion\n"))
      << p.text;
  const ended zero = run_program("no_threads_at_all");
  EXPECT_EQ(zero.status, 1);
  EXPECT_TRUE(zero.has("runtime: program exceeds 0-thread limit\n")) << zero.text;
}

TEST(threads, those_that_have_ended_do_not_count) {
  const ended p = run_program("locked_goroutines_in_turn");
  EXPECT_EQ(p.status, 0) << p.text;
}

TEST(threads, the_system_s_limit_has_go_s_message_too) {
  const ended p = run_program("no_more_from_the_system");
  EXPECT_EQ(p.status, 2);
  EXPECT_TRUE(p.has("runtime: failed to create new OS thread (have ")) << p.text;
  EXPECT_TRUE(
      p.has(" already; errno=11)\n"
            "runtime: may need to increase max user processes (ulimit -u)\n"
            "fatal error: newosproc\n"))
      << p.text;
}

TEST(threads, fewer_than_could_be_in_place_are_made_do_with) {
  const ended p = run_program("fewer_threads_than_those_that_compute");
  EXPECT_EQ(p.status, 0) << p.text;
  EXPECT_TRUE(p.has("all have run")) << p.text;
}

}  // namespace
}  // namespace gort
