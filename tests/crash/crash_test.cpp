// Programs that must die, each with the right words and status 2. The programs are the disabled
// tests below: this executable runs itself for one of them and looks at what comes out.
#include <unistd.h>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/go.hpp>
#include <gort/net.hpp>
#include <gort/runtime.hpp>
#include <gort/select.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "base/sanitizer.hpp"
#include "support/program.hpp"

namespace gort {
namespace {

using test::ended;
using test::run_program;

// Not inlined, so that dumps show them by name.
[[gnu::noinline]] void waits_for(const chan<int>& c) {
  c.recv();
  asm volatile("" ::: "memory");  // no tail call
}
[[gnu::noinline]] void throws(const char* text) {
  if (text != nullptr) throw std::runtime_error(text);
}
[[gnu::noinline]] void goes_down(int depth) {
  if (depth == 0) return throws("boom\nsecond line");
  goes_down(depth - 1);
  asm volatile("" ::: "memory");
}
[[gnu::noinline]] void starts_one(const chan<int>& c) {
  go([c] { waits_for(c); });
}
void until_one_waits() {
  std::string text;
  while (text.find("[chan receive]") == text.npos) {
    runtime::gosched();
    text.assign(1 << 16, '\0');
    text.resize(runtime::stack(text, true));
  }
}
void let_others_run() {
  for (int i = 0; i < 10; ++i) runtime::gosched();
}

// ------------------------------------------------------------------------------------ the programs

TEST(program, DISABLED_panic) {
  run([] {
    starts_one(make_chan<int>());
    until_one_waits();
    go([] { goes_down(2); });
    make_chan<int>().recv();
  });
}

TEST(program, DISABLED_panic_of_an_odd_type) {
  run([] {
    struct odd {};
    throw odd();
  });
}

TEST(program, DISABLED_panic_in_a_noexcept_function) {
  run([] { []() noexcept { throws("through noexcept"); }(); });
}

TEST(program, DISABLED_deadlock) {
  run([] {
    auto c = make_chan<int>();
    mutex m;
    m.lock();
    starts_one(c);
    go([&] { m.lock(); });
    go([&] { select(c.on_recv([](std::optional<int>) {})); });
    go([] { select(); });
    go([] { chan<int>().recv(); });
    go([] { chan<int>().send(1); });
    wait_group group;
    group.add(1);
    group.wait();
  });
}

TEST(program, DISABLED_deadlock_after_goexit) {
  run([] { runtime::goexit(); });
}

TEST(program, DISABLED_deadlock_of_plain_threads) {
  auto c = make_chan<int>();
  go([] {});
  std::thread other([c] { c.recv(); });
  c.recv();
}

TEST(program, DISABLED_deadlock_beside_sockets) {
  run([] {
    net::listener nobody_accepts = net::listen("127.0.0.1:0");
    go([&] {  // has waited for the network, and does so no more
      std::error_code error;
      nobody_accepts.set_deadline(std::chrono::steady_clock::now() + std::chrono::milliseconds(1));
      (void)nobody_accepts.accept(error);
      make_chan<int>().recv();
    });
    make_chan<int>().recv();
  });
}

detail::atomic<int> begun;  // of those that go on for ever

[[gnu::noinline]] void computes() {
  begun.fetch_add_relaxed(1);
  for (;;) asm volatile("" ::: "memory");
}

// Who has been started may still be on its way to a thread that has no CPU.
void until_begun(int how_many) {
  while (begun.load_relaxed() != how_many) runtime::gosched();
}

// ThreadSanitizer puts a signal from outside off until the thread calls into libc; busy ones may
// never do.
void sends_quit() {
  if (base::with_tsan)
    raise(SIGQUIT);
  else
    kill(getpid(), SIGQUIT);
}

TEST(program, DISABLED_quit) {
  run([] {
    auto c = make_chan<int>();
    starts_one(c);
    go({.name = "busy"}, computes);
    runtime::gomaxprocs(3);
    until_one_waits();
    until_begun(1);
    sends_quit();
    waits_for(c);
  });
}

TEST(program, DISABLED_quit_ignored_at_the_beginning) {
  std::signal(SIGQUIT, SIG_IGN);
  execl("/proc/self/exe", "crash_test", "--gtest_also_run_disabled_tests",
        "--gtest_filter=*.DISABLED_quit", nullptr);
}

TEST(program, DISABLED_quit_ignored_by_the_program) {
  std::signal(SIGQUIT, SIG_IGN);
  run([] {
    kill(getpid(), SIGQUIT);
    gort::sleep(std::chrono::milliseconds(10));
  });
}

[[gnu::noinline]] void allocates() {
  begun.fetch_add_relaxed(1);
  for (;;) {
    void* p = std::malloc(5000);  // more than what a thread keeps for itself
    asm volatile("" : : "r"(p) : "memory");
    std::free(p);
  }
}

TEST(program, DISABLED_dumps_beside_malloc) {
  run([] {
    runtime::gomaxprocs(3);
    for (int i = 0; i < 2; ++i) go(allocates);
    until_begun(2);
    std::string text(1 << 16, '\0');
    for (int i = 0; i < 200; ++i) runtime::stack(text, true);
    sends_quit();
    waits_for(make_chan<int>());
  });
}

TEST(program, DISABLED_goexit_swallowed) {
  run([] {
    go([] {
      try {
        runtime::goexit();
      } catch (...) {
      }
    });
    make_chan<int>().recv();
  });
}

TEST(program, DISABLED_double_close) {
  run([] {
    auto c = make_chan<int>();
    c.close();
    c.close();
  });
}

TEST(program, DISABLED_exit_with_goroutines) {
  run([] {
    for (int i = 0; i < 100; ++i) {
      go([] { make_chan<int>().recv(); });
      go([] {
        for (;;) runtime::gosched();
      });
      go([] { (void)make_chan<int>().recv_for(std::chrono::hours(1)); });
    }
    let_others_run();
  });
}

// --------------------------------------------------------------------------------------- the tests

TEST(crash, an_uncaught_exception_is_a_panic) {
  const ended p = run_program("panic");
  EXPECT_EQ(p.status, 2);
  EXPECT_TRUE(p.has("panic: boom\n\tsecond line\n\ngoroutine ")) << p.text;
  EXPECT_TRUE(p.has(" [running]:\n")) << p.text;
  EXPECT_TRUE(p.has("goes_down(...)\n\t")) << p.text;
  EXPECT_TRUE(p.has("throws(...)\n\t")) << p.text;
  EXPECT_TRUE(p.has("crash_test.cpp:")) << p.text;
  EXPECT_TRUE(p.has("created by ")) << p.text;
  EXPECT_FALSE(p.has("waits_for")) << "level single shows one goroutine\n" << p.text;
}

TEST(crash, traceback_levels) {
  const ended none = run_program("panic", "GOTRACEBACK=none");
  EXPECT_EQ(none.status, 2);
  EXPECT_TRUE(none.has("panic: boom"));
  EXPECT_FALSE(none.has("goroutine ")) << none.text;
  const ended all = run_program("panic", "GOTRACEBACK=all");
  EXPECT_EQ(all.status, 2);
  EXPECT_TRUE(all.has("goes_down(...)")) << all.text;
  EXPECT_TRUE(all.has("waits_for(...)")) << all.text;
  EXPECT_FALSE(all.has("gort::sched::")) << all.text;
  const ended system = run_program("panic", "GOTRACEBACK=system");
  EXPECT_EQ(system.status, 2);
  EXPECT_TRUE(system.has("gort::sched::")) << system.text;
  const ended crash = run_program("panic", "ulimit -c 0; GOTRACEBACK=crash");
  EXPECT_EQ(crash.status, 134) << crash.text;
}

TEST(crash, other_values_are_named_by_type) {
  const ended p = run_program("panic_of_an_odd_type");
  EXPECT_EQ(p.status, 2);
  EXPECT_TRUE(p.has("panic: (")) << p.text;
  EXPECT_TRUE(p.has("odd")) << p.text;
}

TEST(crash, noexcept_makes_a_panic_too) {
  const ended p = run_program("panic_in_a_noexcept_function");
  EXPECT_EQ(p.status, 2);
  EXPECT_TRUE(p.has("panic: through noexcept")) << p.text;
}

TEST(crash, a_global_deadlock_is_reported_with_every_goroutine) {
  const ended p = run_program("deadlock");
  EXPECT_EQ(p.status, 2);
  EXPECT_TRUE(
      p.has("fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 ["
            "sync.WaitGroup.Wait]:\n"))
      << p.text;
  EXPECT_TRUE(p.has(" [chan receive]:\n")) << p.text;
  EXPECT_TRUE(p.has("waits_for(...)")) << p.text;
  EXPECT_TRUE(p.has(" [sync.Mutex.Lock]:\n")) << p.text;
  EXPECT_TRUE(p.has(" [select]:\n")) << p.text;
  EXPECT_TRUE(p.has(" [select (no cases)]:\n")) << p.text;
  EXPECT_TRUE(p.has(" [chan receive (nil chan)]:\n")) << p.text;
  EXPECT_TRUE(p.has(" [chan send (nil chan)]:\n")) << p.text;
  EXPECT_TRUE(p.has("created by gort::(anonymous namespace)::starts_one in goroutine 1\n"))
      << p.text;
}

TEST(crash, the_deadlock_after_goexit_of_main_has_its_own_text) {
  const ended p = run_program("deadlock_after_goexit");
  EXPECT_EQ(p.status, 2);
  EXPECT_TRUE(p.has("fatal error: no goroutines (main called runtime.Goexit) - deadlock!"))
      << p.text;
}

TEST(crash, plain_threads_that_wait_for_each_other_are_a_deadlock_too) {
  const ended p = run_program("deadlock_of_plain_threads");
  EXPECT_EQ(p.status, 2);
  EXPECT_TRUE(p.has("deadlock!")) << p.text;
}

// Sockets that are open but that nobody waits for wake nobody.
TEST(crash, a_deadlock_beside_sockets_is_one) {
  const ended p = run_program("deadlock_beside_sockets");
  EXPECT_EQ(p.status, 2);
  EXPECT_TRUE(p.has("fatal error: all goroutines are asleep - deadlock!")) << p.text;
}

TEST(crash, sigquit_prints_everything) {
  const ended p = run_program("quit", "GOTRACEBACK=none");
  EXPECT_EQ(p.status, 2);
  EXPECT_TRUE(p.has("SIGQUIT: quit\nPC=0x")) << p.text;
  EXPECT_TRUE(p.has("waits_for(...)")) << p.text;
  // ThreadSanitizer holds back the signal that stops the one that computes.
  EXPECT_TRUE(p.has(base::with_tsan ? "stack unavailable" : "computes(...)")) << p.text;
  EXPECT_TRUE(p.has("\nrip    0x") || p.has("\npc     0x")) << p.text;
}

// A script's background job begins so.
TEST(crash, sigquit_is_taken_where_the_process_began_with_it_ignored) {
  const ended p = run_program("quit_ignored_at_the_beginning", "GOTRACEBACK=none");
  EXPECT_EQ(p.status, 2);
  EXPECT_TRUE(p.has("SIGQUIT: quit\nPC=0x")) << p.text;
}

TEST(crash, sigquit_stays_ignored_where_the_program_has_said_so) {
  const ended p = run_program("quit_ignored_by_the_program");
  EXPECT_EQ(p.status, 0) << p.text;
}

// All threads share one arena, whose lock is held by one that is stopped, more often than not.
TEST(crash, dumps_need_no_lock_of_malloc) {
  const ended p = run_program("dumps_beside_malloc", "MALLOC_ARENA_MAX=1");
  EXPECT_EQ(p.status, 2) << p.text;
  EXPECT_TRUE(p.has("allocates(...)")) << p.text;
}

TEST(crash, goexit_must_not_be_swallowed) {
  const ended p = run_program("goexit_swallowed");
  EXPECT_EQ(p.status, 2);
  EXPECT_TRUE(p.has("goexit() was swallowed")) << p.text;
}

TEST(crash, misuse_that_nobody_catches_is_a_panic) {
  const ended p = run_program("double_close");
  EXPECT_EQ(p.status, 2);
  EXPECT_TRUE(p.has("panic: close of closed channel")) << p.text;
}

TEST(crash, returning_from_main_with_goroutines_left_is_clean) {
  const ended p = run_program("exit_with_goroutines");
  EXPECT_EQ(p.status, 0) << p.text;
}

}  // namespace
}  // namespace gort
