// tools/gdb/gort.py in the real gdb: on a process that has stopped, with the script from the
// program itself, and on a core of it.
#ifndef __clang__
#pragma GCC optimize("omit-frame-pointer")  // as most programs are compiled: gort's headers, too
#endif

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <functional>
#include <regex>
#include <string>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/detail/inside.hpp>
#include <gort/go.hpp>
#include <gort/mutex.hpp>
#include <gort/runtime.hpp>

#include "base/sanitizer.hpp"
#include "support/parked.hpp"
#include "support/program.hpp"
#include "support/skip.hpp"

namespace shop {

[[gnu::noinline]] static int inner_waits(const gort::chan<int>& from, int secret) {
  const int got = from.recv().value_or(0);
  return got + secret;
}
[[gnu::noinline]] static int outer_waits(const gort::chan<int>& from) {
  return inner_waits(from, 4711) + 1;
}

// As handlers of HTTP are: inlined into what the library calls.
constexpr int line_of_start = __LINE__ + 3;
static std::function<void(const gort::chan<int>&)> handler() {
  return [](const gort::chan<int>& from) {
    gort::go({.name = "handled"}, [from] { outer_waits(from); });
  };
}

// Where the debugger stops.
[[gnu::noinline]] void stops_here() {
  if (std::getenv("GORT_TEST_DUMPS_CORE") != nullptr) std::raise(SIGXCPU);
  asm volatile("");
}

}  // namespace shop

namespace gort {
namespace {

using shop::outer_waits;

TEST(program, DISABLED_waits_for_gdb) {
  run([] {
    runtime::gomaxprocs(1);
    auto never = make_chan<int>();
    mutex held;
    held.lock();
    const test::arrivals since;
    go({.name = "rx"}, [never] { outer_waits(never); });
    go([never] {
      runtime::lock_os_thread();
      outer_waits(never);
    });
    go([&] { held.lock(); });
    shop::handler()(never);
    since.wait_for(3, test::wait_reason::chan_receive);
    since.wait_for(1, test::wait_reason::sync_mutex_lock);
    {
      const detail::inside_gort
          inside;  // nobody takes its P, to run the last one, while it is stopped
      go([] {});
      shop::stops_here();
    }
    held.unlock();
    never.close();
  });
}

std::string own_path() {
  char self[4096] = {};
  return readlink("/proc/self/exe", self, sizeof(self) - 1) > 0 ? self : "";
}

std::string commands() {
  std::string all;
  for (const char* each :
       {"info goroutines", "goroutine 1 bt", "goroutine all bt", "goroutine all print no_such_name",
        "goroutine all frame 2", "goroutine all up 2", "goroutine all bt 2"})
    all += " -ex 'echo \\n=== " + std::string(each) + "\\n' -ex '" + each + "'";
  return all;
}

std::string gdb(const std::string& options) {
  return "timeout -s KILL 100 gdb -q -nx -batch -iex 'set debuginfod enabled off' " + options;
}

// The part of the output that belongs to one command.
std::string part(const std::string& text, const std::string& of) {
  const std::string mark = "=== " + of + "\n";
  const std::size_t at = text.find(mark);
  if (at == text.npos) return "";
  const std::size_t begin = at + mark.size();
  return text.substr(begin, text.find("===", begin) - begin);
}

// The block of one goroutine in `goroutine all bt`.
std::string block_with(const std::string& text, const std::string& piece) {
  const std::size_t at = text.find(piece);
  if (at == text.npos) return "";
  const std::size_t begin = text.rfind("goroutine ", at);
  const std::size_t end = text.find("\n\n", at);
  return text.substr(begin, end == text.npos ? end : end - begin);
}

// Of the frame that a backtrace gives this number, the function and the arguments.
std::string frame_of(const std::string& text, const std::string& number) {
  std::smatch found;
  const std::regex line("(^|\n)#" + number + " +(0x[0-9a-f]+ in )?(.*?)(\n| at )");
  return std::regex_search(text, found, line) ? found[3].str() : "";
}

// Frames have the same numbers in every command.
void check_numbers(const std::string& text) {
  const std::string mark = "{name: rx}";
  const std::string third = frame_of(block_with(part(text, "goroutine all bt"), mark), "2");
  EXPECT_NE(third, "") << text;
  for (const char* each : {"goroutine all frame 2", "goroutine all up 2"}) {
    const std::string shown = block_with(part(text, each), mark);
    EXPECT_EQ(frame_of(shown, "2"), third) << each << "\n" << shown;
  }
  const std::string two = block_with(part(text, "goroutine all bt 2"), mark);
  EXPECT_NE(frame_of(two, "1"), "") << two;
  EXPECT_EQ(frame_of(two, "2"), "") << two;
}

void check_what_is_shown(const std::string& text) {
  const std::string list = part(text, "info goroutines");
  EXPECT_NE(list.find("* 1 "), list.npos) << text;
  EXPECT_NE(list.find("chan receive"), list.npos) << list;
  EXPECT_NE(list.find(", locked to thread"), list.npos) << list;
  EXPECT_NE(list.find("sync.Mutex.Lock"), list.npos) << list;
  EXPECT_NE(list.find("{name: rx} "), list.npos) << list;
  EXPECT_NE(list.find("inner_waits at gdb_test.cpp:"), list.npos) << list;
  EXPECT_EQ(list.find("recv_slow"), list.npos) << list;
  EXPECT_NE(list.find("not started created by "), list.npos) << list;
  const std::string by = "operator() at gdb_test.cpp:" + std::to_string(shop::line_of_start) + "\n";
  const std::size_t handled = list.find("{name: handled}");
  ASSERT_NE(handled, list.npos) << list;
  const std::string line = list.substr(handled, list.find('\n', handled) + 1 - handled);
  EXPECT_TRUE(line.ends_with(by)) << line;
  const std::string own = part(text, "goroutine 1 bt");
  EXPECT_NE(own.find("shop::stops_here ("), own.npos) << own;
  const std::string all = part(text, "goroutine all bt");
  // One that is parked: its own frames from 0 on, to the first of a goroutine, and none of the
  // thread that was looked through.
  const std::string parked = block_with(all, "{name: rx}");
  EXPECT_NE(parked.find("[chan receive]"), parked.npos) << all;
  EXPECT_NE(parked.find("\n#0  "), parked.npos) << parked;
  // Without arguments where there are line tables alone.
  EXPECT_TRUE(std::regex_search(parked, std::regex("inner_waits \\((from=.*, secret=4711)?\\)")))
      << parked;
  const std::size_t inner = parked.find("inner_waits"), outer = parked.find("outer_waits");
  EXPECT_LT(inner, outer) << parked;
  EXPECT_NE(parked.find("start_goroutine", outer), parked.npos) << parked;
  EXPECT_EQ(parked.find("shop::stops_here"), parked.npos) << parked;
  EXPECT_EQ(parked.find("orrupt"), parked.npos) << parked;
  // One whose thread sleeps with it.
  const std::string locked = block_with(all, "locked to thread");
  EXPECT_NE(locked.find("inner_waits"), locked.npos) << all;
  EXPECT_NE(block_with(all, "sync.Mutex.Lock").find("mutex::lock_slow"), all.npos) << all;
  EXPECT_NE(all.find(", which has not started"), all.npos) << all;
  // A command that fails in one is tried in the others, and is no fault of the script.
  const std::string fails = part(text, "goroutine all print no_such_name");
  EXPECT_NE(fails.find("No symbol \"no_such_name\""), fails.npos) << text;
  EXPECT_NE(fails.find("{name: rx}"), fails.npos) << fails;
  check_numbers(text);
  EXPECT_EQ(text.find("Python"), text.npos) << text;
}

// Why gdb cannot be asked; null: it can.
const char* lacks() {
  if (test::run_shell("command -v gdb").status != 0) return "no gdb";
  const test::ended python = test::run_shell("gdb -q -nx -batch -ex 'python print(1)'");
  return python.text == "1\n" ? nullptr : "this gdb has no Python";
}

const std::string the_program =
    " --gtest_also_run_disabled_tests --gtest_filter=program.DISABLED_waits_for_gdb";

TEST(gdb, shows_goroutines_of_a_process_with_the_script_in_it) {
  if (base::with_asan || base::with_tsan) return;  // slow, and the same structures
  if (const char* why = lacks(); why != nullptr) GORT_SKIP(why);
  const std::string self = own_path();
  const test::ended live = test::run_shell(
      gdb("-iex 'add-auto-load-safe-path " + self + "' -ex 'handle SIGURG nostop noprint pass'" +
          " -ex 'break shop::stops_here' -ex run" + commands() + " -ex 'echo \\n=== end\\n'" +
          " -ex detach --args " + self + the_program));
  if (live.has("ptrace: Operation not permitted")) GORT_SKIP("no ptrace here");
  check_what_is_shown(live.text);
  // Not beside gdb 13, which may die of a program's end (static_probes_test).
  EXPECT_TRUE(live.has("[  PASSED  ] 1 test")) << "gdb has changed it: " << live.text;
}

// With the script as it is installed, for who must not load any from programs.
TEST(gdb, shows_goroutines_of_a_core) {
  if (base::with_asan || base::with_tsan) return;
  if (const char* why = lacks(); why != nullptr) GORT_SKIP(why);
  const std::string self = own_path();
  const std::string folder = self + "." + std::to_string(getpid()) + ".core";
  test::run_shell("mkdir -p " + folder);
  if (test::run_shell("cat /proc/sys/kernel/core_pattern").text == "core\n") {
    test::run_shell("cd " + folder + " && ulimit -c unlimited && GORT_TEST_DUMPS_CORE=1 " + self +
                    the_program + "; mv core* core");
  } else {  // the kernel gives them to somebody else; gcore's lack what has light guards in it
    test::run_shell(
        gdb("-ex 'handle SIGURG nostop noprint pass' -ex 'break shop::stops_here'"
            " -ex 'set environment GODEBUG guardinstall=0' -ex run -ex 'gcore " +
            folder + "/core' --args " + self + the_program));
  }
  const test::ended dead = test::run_shell(gdb(
      "-iex 'set auto-load python-scripts off' -ex 'source " GORT_SOURCE_DIR "/tools/gdb/gort.py'" +
      commands() + " " + self + " " + folder + "/core"));
  test::run_shell("rm -r " + folder);
  check_what_is_shown(dead.text);
}

TEST(gdb, says_what_a_program_lacks) {
  if (base::with_asan || base::with_tsan) return;
  if (const char* why = lacks(); why != nullptr) GORT_SKIP(why);
  const test::ended it = test::run_shell(
      gdb("-ex 'source " GORT_SOURCE_DIR "/tools/gdb/gort.py' -ex 'info goroutines' /bin/true"));
  EXPECT_TRUE(it.has("gort: this program has no gort_debugger_slots")) << it.text;
}

}  // namespace
}  // namespace gort
