// GODEBUG=schedtrace=N and scheddetail=1: lines as Go 1.27 prints them.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "support/program.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

// What the program below has printed so far: it goes on when that is enough.
std::string told_so_far(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}
constexpr const char* told_in = "GORT_TEST_TOLD";

long matches_in(const std::string& text, const std::string& what) {
  const std::regex form(what);
  return std::distance(std::sregex_iterator(text.begin(), text.end(), form), {});
}

TEST(program, DISABLED_some_wait_and_some_run) {
  gort::run([] {
    const auto until_told = [](int times, const std::string& what) {
      do {
        gort::sleep(200ms);
      } while (matches_in(told_so_far(std::getenv(told_in)), what) < times);
    };
    auto never = make_chan<int>();
    auto over = make_chan<int>();
    for (int i = 0; i < 3; ++i) go([=]() mutable { never.recv(); });
    wait_group all;
    all.go([=]() mutable {
      runtime::lock_os_thread();
      over.recv();
    });
    const timer unused(1h);
    // All wait, so sysmon sleeps between lines; then one computes while others want its P.
    const std::string procs = std::to_string(runtime::gomaxprocs(0));
    until_told(6, "idleprocs=" + procs + " ");
    detail::atomic<bool> enough;
    for (int i = 0; i < 3; ++i) {
      all.go([&] {
        while (!enough.load_relaxed()) {
        }
      });
    }
    until_told(1, procs == "1" ? "idleprocs=0 .* runqueue=([1-9]|0 \\[ [1-9])" : " status=1 ");
    enough.store_relaxed(true);
    over.close();
    all.wait();
  });
}

test::ended run_told(const std::string& name, const std::string& environment) {
  const std::string path = "/tmp/gort-told-" + std::to_string(getpid());
  test::ended it = test::run_program(
      name, std::string(told_in) + "=" + path + " " + environment + " 2>" + path);
  it.text += told_so_far(path.c_str());
  std::remove(path.c_str());
  return it;
}

TEST(program, DISABLED_panics) {
  gort::run([] { throw std::runtime_error("on purpose"); });
}

std::vector<std::smatch> matches(const std::string& text, const std::regex& what) {
  return {std::sregex_iterator(text.begin(), text.end(), what), std::sregex_iterator()};
}

TEST(sched_trace, a_line_each_period) {
  const test::ended it =
      run_told("some_wait_and_some_run", "GOMAXPROCS=1 GODEBUG=schedtrace=20");
  ASSERT_EQ(it.status, 0) << it.head();
  static const std::regex line(
      R"((?:^|\n)SCHED (\d+)ms: gomaxprocs=1 idleprocs=([01]) threads=(\d+) spinningthreads=\d+ )"
      R"(needspinning=0 idlethreads=(\d+) runqueue=(\d+) \[ (\d+) \] )"
      R"(schedticks=\[ (\d+) \](?=\n))");
  const auto lines = matches(it.text, line);
  ASSERT_EQ(static_cast<long>(lines.size()), it.count("SCHED ")) << it.head();
  ASSERT_GE(lines.size(), 5u) << it.head();
  EXPECT_EQ(lines.front()[1], "0") << it.head();
  long before_ms = -1;
  int idle = 0;
  bool busy = false;
  bool queued = false;
  for (const auto& each : lines) {
    const long now_ms = std::stol(each[1]);
    EXPECT_TRUE(before_ms < 0 || now_ms >= before_ms + 20) << each.str();
    before_ms = now_ms;
    EXPECT_GE(std::stol(each[3]), 2) << each.str();
    idle += each[2] == "1" ? 1 : 0;
    busy = busy || each[2] == "0";
    queued = queued || each[5] != "0" || each[6] != "0";
  }
  EXPECT_GE(idle, 4) << "all waited for a while:\n" << it.head();
  EXPECT_TRUE(busy) << "some computed:\n" << it.head();
  EXPECT_TRUE(queued) << "two waited for the P of the third:\n" << it.head();
}

TEST(sched_trace, details) {
  const test::ended it =
      run_told("some_wait_and_some_run", "GOMAXPROCS=2 GODEBUG=schedtrace=20,scheddetail=1");
  ASSERT_EQ(it.status, 0) << it.head();
  static const std::regex line(
      R"((?:^|\n)SCHED \d+ms: gomaxprocs=2 idleprocs=\d threads=\d+ spinningthreads=\d+ )"
      R"(needspinning=0 idlethreads=\d+ runqueue=\d+ gcwaiting=(false|true) )"
      R"(nmidlelocked=0 stopwait=0 sysmonwait=false(?=\n))");
  static const std::regex proc(
      R"(\n  P[01]: status=([013]) schedtick=\d+ syscalltick=\d+ m=(nil|\d+) runqsize=\d+ )"
      R"(gfreecnt=\d+ timerslen=(\d+)(?=\n))");
  static const std::regex thread(
      R"(\n  M\d+: p=(nil|\d+) curg=(nil|\d+) mallocing=0 throwing=0 preemptoff= locks=0 dying=0 )"
      R"(spinning=(false|true) blocked=(false|true) lockedg=(nil|\d+)(?=\n))");
  static const std::regex goroutine(
      R"(\n  G(\d+): status=([1-4])\(([a-zA-Z. ]*)\) m=(nil|\d+) lockedm=(nil|\d+)(?=\n))");
  EXPECT_EQ(static_cast<long>(matches(it.text, line).size()), it.count("SCHED ")) << it.head();
  EXPECT_EQ(static_cast<long>(matches(it.text, proc).size()), it.count("\n  P")) << it.head();
  EXPECT_EQ(static_cast<long>(matches(it.text, thread).size()), it.count("\n  M")) << it.head();
  bool runs = false;
  for (const auto& each : matches(it.text, proc)) runs = runs || each[1] == "1";
  EXPECT_TRUE(runs) << "some computed:\n" << it.head();
  const auto goroutines = matches(it.text, goroutine);
  EXPECT_EQ(static_cast<long>(goroutines.size()), it.count("\n  G")) << it.head();
  bool receives = false;
  bool locked = false;
  for (const auto& each : goroutines) {
    receives = receives || (each[2] == "4" && each[3] == "chan receive" && each[4] == "nil");
    locked = locked || each[5] != "nil";
  }
  EXPECT_TRUE(receives) << it.head();
  EXPECT_TRUE(locked) << it.head();
  bool has_timer = false;
  for (const auto& each : matches(it.text, proc)) has_timer = has_timer || std::stol(each[3]) >= 1;
  EXPECT_TRUE(has_timer) << it.head();
}

TEST(sched_trace, a_line_before_the_traces_of_a_panic) {
  const test::ended it = test::run_program("panics", "GODEBUG=schedtrace=1000000");
  EXPECT_EQ(it.status, 2);
  const std::size_t panic = it.text.find("panic: on purpose\nSCHED ");
  ASSERT_NE(panic, it.text.npos) << it.head();
  EXPECT_LT(panic, it.text.find("goroutine 1 ")) << it.head();
}

TEST(sched_trace, nothing_unless_asked_for) {
  EXPECT_FALSE(test::run_program("panics").has("SCHED"));
  EXPECT_FALSE(test::run_program("panics", "GODEBUG=scheddetail=1").has("SCHED"));
}

}  // namespace
}  // namespace gort
