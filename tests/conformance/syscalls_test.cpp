// What a program that waits, or that only works, asks of the system and of malloc: nothing. strace
// sees the system calls between two marks; the programs are the disabled tests below.
#include <unistd.h>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <new>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/mutex.hpp>
#include <gort/runtime.hpp>
#include <gort/select.hpp>
#include <gort/wait_group.hpp>

#include "base/sanitizer.hpp"
#include "sched/gmp/proc.hpp"
#include "support/metrics_support.hpp"
#include "support/parked.hpp"
#include "support/program.hpp"
#include "support/skip.hpp"

namespace {
thread_local long allocations;
}  // namespace

// Not inlined: gcc would see free() where it expects its own operator delete, and warn.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* made = std::malloc(bytes == 0 ? 1 : bytes); made != nullptr) return made;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace gort {
namespace {

using namespace std::chrono_literals;

constexpr const char* begin_mark = "gort-begin";
constexpr const char* end_mark = "gort-end";

void mark(const std::string& text) {
  if (write(STDERR_FILENO, text.data(), text.size()) < 0) std::abort();
}

TEST(program, DISABLED_waits) {
  auto gate = make_chan<int>();
  wait_group waiting;
  const test::arrivals since;
  for (int i = 0; i < 100; ++i) {
    waiting.go([gate, i] {
      if (i % 2 == 0)
        gate.recv();
      else
        (void)gate.recv_for(1h);
    });
  }
  since.wait_for(100, test::wait_reason::chan_receive);
  // Nobody looks around any more, and what has had to be done for that is over.
  while (sched::sched.sysmon_asleep.load_relaxed() == 0) std::this_thread::sleep_for(10ms);
  std::this_thread::sleep_for(1s);
  mark(begin_mark);
  std::this_thread::sleep_for(2s);
  mark(end_mark);
  gate.close();
  waiting.wait();
}

// Each of these must do without a system call and without malloc, once it has been done before.
// (Not so the one goroutine of 16384 whose stack is measured: docs/stacks.md. That is off here.)
void work(int times) {
  auto there = make_chan<int>();
  auto back = make_chan<int>();
  auto buffered = make_chan<int>(16);
  mutex lock;
  wait_group all;
  const long before = allocations;
  all.go([&] {
    for (int v : there) back.send(v);
  });
  for (int i = 0; i < times; ++i) {
    all.go([&] { lock.lock(), lock.unlock(); });
    blocking([] {});  // that one waits for the P
    if (i % 8 == 0) runtime::gosched();
    there.send(i);
    back.recv();
    buffered.send(i);
    select(buffered.on_recv([](std::optional<int>) {}), there.on_recv());
    lock.lock();
    lock.unlock();
  }
  there.close();
  all.wait();
  mark("allocations: " + std::to_string(allocations - before) + "\n");
}

// What only grows: Ps that changed hands, threads, stacks, and records of goroutines that have not
// started.
std::uint64_t made_and_handed_over() {
  std::uint64_t sum = 0;
  for (const char* each :
       {"/gort/sched/hand-offs/given:processors",
        "/gort/sched/hand-offs/taken-announced:processors",
        "/gort/sched/hand-offs/taken-unannounced:processors",
        "/gort/sched/hand-offs/preempted:processors", "/sched/threads/total:threads",
        "/gort/stacks/made:stacks", "/memory/classes/other:bytes"})
    sum += test::whole(each);
  return sum;
}

// Until all of it was on one thread, and there were never more goroutines than before. Whom the
// system takes the CPU from in an announced call loses the P, as it should; and others wait longer.
TEST(program, DISABLED_works) {
  run([] {
    runtime::gomaxprocs(1);
    work(20'000);
    for (std::uint64_t before = 0; before != made_and_handed_over();) {
      before = made_and_handed_over();
      mark(begin_mark);
      work(20'000);
      mark(end_mark);
    }
  });
}

// Between the last two marks.
struct counted {
  std::map<std::string, int> calls;      // between the marks, by name
  std::map<std::string, int> by_marker;  // those of the thread that has made the marks
  std::string trace;
  bool complete = false;
};

// Counts like `strace -c`, but between the marks; a call that is shown in two pieces, for another
// thread's came in between, by its first one.
counted count_calls(const std::string& program, std::string& output) {
  char name[] = "/tmp/gort-strace-XXXXXX";
  const int fd = mkstemp(name);
  close(fd);
  output = test::run_program(program, "GODEBUG=asyncpreemptoff=1,stacksample=0 strace -f -qq -o " +
                                          std::string(name))
               .text;
  counted result;
  std::ifstream trace(name);
  bool between = false;
  std::string marker;
  for (std::string line; std::getline(trace, line);) {
    if (line.find("<... ") != line.npos) continue;  // the rest of a call that was shown before
    const std::string thread = line.substr(0, line.find(' '));
    if (line.find(begin_mark) != line.npos) {
      result = {};
      between = true;
      marker = thread;
    } else if (line.find(end_mark) != line.npos) {
      between = false;
      result.complete = marker == thread;
    } else if (between) {
      const std::size_t at = line.find_first_not_of("0123456789 ");
      const std::string call = line.substr(at, line.find('(') - at);
      ++result.calls[call];
      if (thread == marker) ++result.by_marker[call];
      result.trace += line + "\n";
    }
  }
  std::filesystem::remove(name);
  return result;
}

bool have_strace() { return std::system("strace -V >/dev/null 2>&1") == 0; }

TEST(syscalls, none_while_all_wait) {
  GORT_NOT_UNDER(base::with_asan || base::with_tsan,
                 "their own threads work; the plain build shows");
  if (!have_strace()) GORT_SKIP("no strace");
  std::string output;
  const counted seen = count_calls("waits", output);
  ASSERT_TRUE(seen.complete) << output;
  for (const auto& [call, times] : seen.calls) {
    // The main thread's own nap, in one piece or in two lines.
    EXPECT_TRUE(call.find("clock_nanosleep") != call.npos) << times << "\n" << seen.trace;
  }
}

TEST(syscalls, none_and_no_allocation_while_goroutines_only_work) {
  GORT_NOT_UNDER(base::with_asan || base::with_tsan, "as above");
  if (!have_strace()) GORT_SKIP("no strace");
  std::string output;
  const counted seen = count_calls("works", output);
  ASSERT_TRUE(seen.complete) << output;
  // The second report of work() itself is a call.
  EXPECT_EQ(seen.by_marker, (std::map<std::string, int>{{"write", 1}})) << seen.trace;
  const std::size_t second = output.rfind("allocations: ");
  ASSERT_NE(second, output.npos) << output;
  EXPECT_EQ(output.substr(second, output.find('\n', second) - second), "allocations: 0");
}

}  // namespace
}  // namespace gort
