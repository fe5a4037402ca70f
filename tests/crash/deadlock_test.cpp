// When all goroutines are asleep for good, and when they only seem to be: threads that gort does
// not know, that are just being made, that are just ending.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>

#include "support/program.hpp"
#include "support/skip.hpp"

// Whoever makes a thread waits before, if this is set: so that others come in between.
static std::atomic<bool> threads_are_made_slowly{false};
extern "C" int pthread_create(pthread_t* made, const pthread_attr_t* how, void* (*body)(void*),
                              void* argument) {
  using function = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto real = reinterpret_cast<function>(dlsym(RTLD_NEXT, "pthread_create"));
  if (threads_are_made_slowly) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  return real(made, how, body, argument);
}

namespace gort {
namespace {

using namespace std::chrono_literals;
using test::ended;
using test::run_program;
using test::run_shell;

int threads_that_exist() {
  struct stat info {};
  return stat("/proc/self/task", &info) == 0 ? static_cast<int>(info.st_nlink) - 2 : -1;
}

// A thread parks when the runtime has made so many threads more.
void park_while_the_runtime_starts(int more) {
  auto c = make_chan<int>();
  std::atomic<bool> ready{false};
  const int before = threads_that_exist();
  std::thread other([&] {
    ready = true;
    while (threads_that_exist() < before + 1 + more) {
    }
    if (c.recv() != 1) std::abort();
  });
  while (!ready) std::this_thread::yield();
  threads_are_made_slowly = true;
  go([c] { c.send(1); });
  other.join();
}

TEST(program, DISABLED_parking_beside_the_first_thread) { park_while_the_runtime_starts(1); }
TEST(program, DISABLED_parking_beside_the_second_thread) { park_while_the_runtime_starts(2); }
TEST(program, DISABLED_parking_beside_the_third_thread) { park_while_the_runtime_starts(3); }

TEST(deadlock, the_start_of_the_runtime_is_none) {
  for (const char* name : {"first", "second", "third"}) {
    const ended p = run_program("parking_beside_the_" + std::string(name) + "_thread");
    EXPECT_EQ(p.status, 0) << name << p.head();
  }
}

// Nothing but the end of the thread happens after main has gone to sleep.
TEST(program, DISABLED_a_thread_ends_and_nobody_is_left) {
  run([] {
    std::thread([] { std::this_thread::sleep_for(300ms); }).detach();
    make_chan<int>().recv();
  });
}

// It could have woken somebody while it existed, and did.
TEST(program, DISABLED_a_thread_ends_after_it_has_sent) {
  run([] {
    auto c = make_chan<int>();
    std::thread([c] {
      std::this_thread::sleep_for(100ms);
      c.send(1);
    }).detach();
    c.recv();
  });
}

TEST(deadlock, the_end_of_a_thread_that_nobody_knows_can_make_one) {
  // Else what is done for stacks after ten seconds would wake the one that looks.
  const ended p = run_program("a_thread_ends_and_nobody_is_left", "GODEBUG=stackgiveback=0", 20);
  EXPECT_EQ(p.status, 2) << p.head();
  EXPECT_TRUE(p.has("fatal error: all goroutines are asleep - deadlock!")) << p.head();
  const ended sent = run_program("a_thread_ends_after_it_has_sent");
  EXPECT_EQ(sent.status, 0) << sent.head();
}

struct slow_to_go {
  bool slow = false;
  ~slow_to_go() {
    if (slow) std::this_thread::sleep_for(400ms);
  }
};
thread_local slow_to_go of_thread;

// The next thread gets that number. Only in a namespace of its own can a program choose.
bool make_next_number(int number) {
  const int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const std::string text = std::to_string(number - 1);
  const bool written = write(fd, text.data(), text.size()) > 0;
  close(fd);
  return written;
}

// An M ends, slowly, so that it is looked for at long intervals; its number is at once that of a
// thread that lasts.
bool an_m_s_number_is_given_out_again() {
  std::atomic<int> number{0};
  go([&] {
    runtime::lock_os_thread();
    of_thread.slow = true;
    number = static_cast<int>(gettid());
  });
  while (number == 0) gort::sleep(1ms);
  std::atomic<int> got{0};
  std::thread([&] {
    pthread_setname_np(pthread_self(), "other");  // and so will the next be: names are inherited
    while (tgkill(getpid(), number, 0) == 0) std::this_thread::sleep_for(100us);
    if (!make_next_number(number)) std::_Exit(77);
    std::thread([&] {
      got = static_cast<int>(gettid());
      for (;;) std::this_thread::sleep_for(1h);
    }).detach();
  }).detach();
  while (got == 0) gort::sleep(1ms);
  return got == number;
}

std::uint64_t ms_that_exist() {
  std::uint64_t count = 0;
  for (const auto& each : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::ifstream(each.path() / "comm") >> name;
    if (name.starts_with("gort-m")) ++count;
  }
  return count;
}

TEST(program, DISABLED_a_number_is_given_out_again) {
  run([] {
    for (int i = 0; !an_m_s_number_is_given_out_again(); ++i) {
      if (i == 20) std::_Exit(76);
    }
    for (int i = 0; i < 3000; ++i) {
      if (debug::read_scheduler_counts().threads == ms_that_exist()) std::_Exit(0);
      gort::sleep(1ms);
    }
    std::_Exit(1);  // the one that has ended counts for ever
  });
}

TEST(deadlock, a_thread_that_has_ended_is_gone_though_its_number_is_not) {
  const std::string own_numbers = "unshare -Urpf --mount-proc";
  if (run_shell(own_numbers + " sh -c 'echo 5000 > /proc/sys/kernel/ns_last_pid'").status != 0)
    GORT_SKIP("no namespace of process numbers can be made");
  const ended p = run_program("a_number_is_given_out_again", own_numbers);
  EXPECT_EQ(p.status, 0) << p.head();
}

}  // namespace
}  // namespace gort
