// Ending while goroutines run, block and hold timers, under valgrind: no invalid access, nothing
// lost for good. (Threads that still run at the exit own "possibly lost" blocks; that is what they
// are.)
#include <sys/wait.h>
#include <unistd.h>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/context.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "base/sanitizer.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

TEST(program, DISABLED_exit_while_all_goes_on) {
  run([] {
    for (int i = 0; i < 50; ++i) {
      go([] { make_chan<int>().recv(); });
      go([] {
        for (;;) runtime::gosched();
      });
      go([] { (void)make_chan<int>().recv_for(1h); });
    }
    wait_group ended;
    for (int i = 0; i < 200; ++i) ended.go([] {});
    ended.wait();
    auto [ctx, cancel] = with_timeout(background(), 3ms);
    ctx.done().recv();
  });
}

TEST(valgrind, an_exit_while_all_goes_on_is_clean) {
  GORT_NOT_UNDER(base::with_asan || base::with_tsan, "the same program runs under them by itself");
  if (std::system("valgrind --version > /dev/null 2>&1") != 0)
    GORT_SKIP("valgrind is not installed (scripts/packages test)");
  char self[4096] = {};
  ASSERT_GT(readlink("/proc/self/exe", self, sizeof(self) - 1), 0);
  const std::string command =
      std::string(
          "timeout 100 valgrind -q --leak-check=full --errors-for-leak-kinds=definite "
          "--show-leak-kinds=definite --error-exitcode=9 ") +
      self + " --gtest_also_run_disabled_tests --gtest_filter='*.DISABLED_*' > /dev/null";
  const int status = std::system(command.c_str());
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(valgrind, the_program_itself) {
  char self[4096] = {};
  ASSERT_GT(readlink("/proc/self/exe", self, sizeof(self) - 1), 0);
  const std::string command = std::string("timeout 60 ") + self +
                              " --gtest_also_run_disabled_tests --gtest_filter='*.DISABLED_*'"
                              " > /dev/null";
  EXPECT_EQ(std::system(command.c_str()), 0);
}

}  // namespace
}  // namespace gort
