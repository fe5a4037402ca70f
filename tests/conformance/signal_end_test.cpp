// gort::signal: what signals do to whole programs, and to their children.
#include <gort/signal.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include <gort/go.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "base/sanitizer.hpp"
#include "support/program.hpp"
#include "support/send_signal.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using test::send_signal;

TEST(program, DISABLED_all_are_blocked) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  run([] {
    const auto c = make_chan<int>(2);
    signal::notify(c, SIGTERM);
    kill(getpid(), SIGTERM);
    std::printf("told: %d\n", c.recv() == SIGTERM);
    signal::notify(c, SIGUSR1);
    kill(getpid(), SIGUSR1);
    std::printf("of both: %d\n", c.recv() == SIGUSR1);
    signal::reset(SIGUSR1);
    kill(getpid(), SIGUSR1);
    signal::stop(c);
    kill(getpid(), SIGTERM);
    gort::sleep(50ms);
    sigset_t waiting;
    sigpending(&waiting);
    std::printf("blocked again: %d %d\n", sigismember(&waiting, SIGUSR1),
                sigismember(&waiting, SIGTERM));
  });
}

TEST(signal, told_of_though_all_threads_block_it) {
  GORT_NOT_UNDER(base::with_tsan, "its thread sleeps without the C library");
  const test::ended p = test::run_program("all_are_blocked");
  EXPECT_TRUE(p.has("told: 1\nof both: 1\nblocked again: 1 1\n")) << p.head();
  EXPECT_EQ(p.status, 0) << p.head();
}

TEST(program, DISABLED_waits_for_a_signal) {
  run([] {
    const auto c = make_chan<int>(1);
    signal::notify(c, SIGUSR1);
    std::thread sender([] {
      std::this_thread::sleep_for(100ms);
      kill(getpid(), SIGUSR1);
    });
    sender.detach();
    std::this_thread::sleep_for(300ms);  // the sender is gone
    std::printf("got %d\n", c.recv() == SIGUSR1);
    std::fflush(stdout);
    std::system(("(sleep 0.5; kill -USR1 " + std::to_string(getpid()) + ") &").c_str());
    std::printf("and %d\n", c.recv() == SIGUSR1);  // asleep: nobody but a signal can wake us
    std::fflush(stdout);
    signal::stop(c);
    c.recv();  // and now nobody can at all
  });
}

TEST(signal, waiting_for_one_is_no_deadlock_and_without_it_is) {
  GORT_NOT_UNDER(base::with_tsan, "its thread sleeps without the C library");
  const test::ended p = test::run_program("waits_for_a_signal");
  EXPECT_TRUE(p.has("got 1\nand 1\n")) << p.head();
  EXPECT_TRUE(p.has("fatal error: all goroutines are asleep - deadlock!")) << p.head();
  EXPECT_EQ(p.status, 2);
}

TEST(program, DISABLED_quit_is_asked_for) {
  run([] {
    const auto c = make_chan<int>(1);
    signal::notify(c, SIGQUIT);
    send_signal(SIGQUIT);
    std::printf("no dump: %d\n", c.recv() == SIGQUIT);
    std::fflush(stdout);
    signal::stop(c);
    send_signal(SIGQUIT);
    gort::sleep(60s);
  });
}

TEST(signal, sigquit_is_a_dump_again_after_stop) {
  const test::ended p = test::run_program("quit_is_asked_for");
  EXPECT_TRUE(p.has("no dump: 1\n")) << p.head();
  EXPECT_TRUE(p.has("SIGQUIT: quit")) << p.head();
  EXPECT_EQ(p.status, 2);
}

TEST(program, DISABLED_closed_too_early) {
  run([] {
    const auto c = make_chan<int>(1);
    signal::notify(c, SIGUSR1);
    c.close();
    send_signal(SIGUSR1);
    gort::sleep(60s);
  });
}

// On a thread that nobody has called. Red: an abort.
TEST(signal, a_channel_that_is_closed_before_stop_ends_the_program) {
  const test::ended p = test::run_program("closed_too_early");
  EXPECT_TRUE(p.has("fatal error: os/signal: send on closed channel; ")) << p.head();
  EXPECT_EQ(p.status, 2);
}

TEST(program, DISABLED_ends_by_the_second) {
  run([] {
    auto [ctx, stop] = signal::notify_context(background(), SIGTERM);
    send_signal(SIGTERM);
    ctx.done().recv();
    stop();
    std::printf("first\n");
    std::fflush(stdout);
    send_signal(SIGTERM);
    gort::sleep(60s);
  });
}

TEST(signal, the_second_ends_the_program) {
  const test::ended p = test::run_program("ends_by_the_second");
  EXPECT_TRUE(p.has("first\n")) << p.head();
  EXPECT_EQ(p.status, 128 + SIGTERM) << p.head();
}

TEST(program, DISABLED_forked_child_gets_it) {
  run([] {
    const auto c = make_chan<int>(1);
    signal::notify(c, SIGTERM);
    const int child = fork();
    if (child == 0) {
      raise(SIGTERM);
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    std::printf("by a signal: %d\n", WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
  });
}

TEST(signal, a_forked_child_has_nobody_to_tell) {
  const test::ended p = test::run_program("forked_child_gets_it");
  EXPECT_TRUE(p.has("by a signal: 1\n")) << p.head();
  EXPECT_EQ(p.status, 0) << p.head();
}

// The signal comes at once: before, during and after what fork() does in the child.
TEST(program, DISABLED_forked_children_get_it_early) {
  run([] {
    const auto c = make_chan<int>(1);
    signal::notify(c, SIGTERM);
    int lost = 0;
    constexpr int children = 300;
    for (int i = 0; i < children && lost == 0; ++i) {
      const int child = fork();
      if (child == 0) {
        for (int patience = 0; patience < 10'000; ++patience) std::this_thread::sleep_for(1ms);
        _exit(0);
      }
      const int which = i % 2 == 0 ? SIGTERM : SIGQUIT;
      for (int pause = 0; pause < 50 * (i % 40); ++pause) asm volatile("" ::: "memory");
      kill(child, which);
      int status = 0;
      for (int look = 0; look < 20'000 && waitpid(child, &status, WNOHANG) == 0; ++look)
        std::this_thread::sleep_for(1ms);
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
      if (!WIFSIGNALED(status) || WTERMSIG(status) != which) ++lost;
    }
    std::printf("lost: %d, told: %d\n", lost, c.try_recv().ready);
  });
}

TEST(signal, a_forked_child_loses_none) {
  GORT_NOT_UNDER(base::with_asan || base::with_tsan, "fork() takes them long");
  const test::ended p = test::run_program("forked_children_get_it_early");
  EXPECT_TRUE(p.has("lost: 0, told: 0\n")) << p.head();
  EXPECT_EQ(p.status, 0) << p.head();
}

// A fault of the program's own is no news for a channel.
TEST(program, DISABLED_divides) {
  run([] {
    const auto c = make_chan<int>(1);
    signal::notify(c);
    raise(SIGFPE);
    std::printf("sent: %d\n", c.recv() == SIGFPE);
    std::fflush(stdout);
    __builtin_trap();
  });
}

TEST(signal, faults_end_the_program_all_the_same) {
  GORT_NOT_UNDER(base::with_asan || base::with_tsan, "its own handlers report that");
  const test::ended p = test::run_program("divides");
  EXPECT_TRUE(p.has("sent: 1\n")) << p.head();
  EXPECT_TRUE(p.status == 128 + SIGILL || p.status == 128 + SIGTRAP) << p.status << p.head();
}

}  // namespace
}  // namespace gort
