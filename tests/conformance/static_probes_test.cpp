// The static probes (USDT): in the file as the tools expect them, and passed while one looks.
#include <unistd.h>

#include <string>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/time.hpp>

#include "base/sanitizer.hpp"
#include "os/static_probes.hpp"
#include "sched/gmp/seams.hpp"
#include "support/program.hpp"
#include "support/skip.hpp"

// Set by the debugger when it has stopped.
extern "C" {
volatile int gort_test_looked = 0;
}

namespace gort {
namespace {

using namespace std::chrono_literals;

std::string own_path() {
  char self[4096] = {};
  return readlink("/proc/self/exe", self, sizeof(self) - 1) > 0 ? self : "";
}

bool is_installed(const std::string& tool) {
  return test::run_shell("command -v " + tool).status == 0;
}

// Blocks again and again, on a channel and asleep, until somebody has looked.
TEST(program, DISABLED_goroutines_block) {
  gort::run([] {
    auto there = make_chan<int>();
    go([=]() mutable {
      while (there.recv()) {
      }
    });
    for (int i = 0; gort_test_looked == 0; ++i) {
      there.send(i);
      gort::sleep(1ms);
    }
  });
}

TEST(static_probes, are_in_the_file) {
  if (!os::probe::exist()) GORT_SKIP("built without <sys/sdt.h>");
  if (!is_installed("readelf")) GORT_SKIP("no readelf");
  const test::ended notes = test::run_shell("readelf -n " + own_path());
  for (const char* name :
       {"goroutine_create", "goroutine_start", "goroutine_block", "goroutine_unblock",
        "goroutine_yield", "goroutine_preempt", "goroutine_end", "syscall_begin", "syscall_end",
        "proc_start", "proc_stop", "thread_sleep", "thread_wake"})
    EXPECT_TRUE(notes.has("Provider: gort\n    Name: " + std::string(name) + "\n")) << name;
  EXPECT_EQ(notes.count("Provider: gort\n"), 13);
  EXPECT_FALSE(notes.has("Semaphore: 0x0000000000000000")) << "nobody could switch it on";
}

TEST(static_probes, lead_nowhere_while_nobody_looks) {
  gort::run([] {
    gort::sleep(20ms);
    EXPECT_FALSE(sched::seam::is_wanted(sched::seam::at::blocked));
  });
}

TEST(static_probes, stop_a_debugger_with_their_arguments) {
  if (!os::probe::exist()) GORT_SKIP("built without <sys/sdt.h>");
  if (base::with_asan || base::with_tsan) return;  // slow, and the same instructions
  if (!is_installed("gdb")) GORT_SKIP("no gdb");
  // Its breakpoint counts the semaphore up, which sysmon sees. It is not there when the program
  // ends: gdb 13 dies of a thread that is new then ("wait returned unexpected status 0x0").
  const std::string gdb =
      "timeout -s KILL 60 gdb -q -nx -batch -ex 'set debuginfod enabled off' "
      "-ex 'handle SIGURG nostop noprint pass' -ex 'break -probe-stap gort:goroutine_block' "
      "-ex run -ex 'printf \"goroutine %d: %s\\n\", (int)$_probe_arg0, (char*)$_probe_arg2' "
      "-ex 'set var *(int*)&gort_test_looked = 1' -ex delete -ex detach --args " +
      own_path() +
      " --gtest_also_run_disabled_tests --gtest_filter=program.DISABLED_goroutines_block";
  const test::ended it = test::run_shell(gdb);
  if (it.has("ptrace: Operation not permitted")) GORT_SKIP("no ptrace here");
  EXPECT_TRUE(it.has("goroutine 1: ") || it.has("goroutine 2: ")) << it.head();
  EXPECT_TRUE(it.has(": sleep\n") || it.has(": chan receive\n") || it.has(": chan send\n"))
      << it.head();
  EXPECT_TRUE(it.has("[  PASSED  ] 1 test")) << it.text;
}

}  // namespace
}  // namespace gort
