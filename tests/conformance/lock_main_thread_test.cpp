// A program whose main thread has called lock_os_thread() before run(): all that the main goroutine
// does, it does there.
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

int thread_id() { return static_cast<int>(syscall(SYS_gettid)); }

// Before main(), as Go's init functions.
const bool locked_during_start = [] {
  runtime::lock_os_thread();
  return true;
}();

TEST(lock_main_thread, is_where_the_main_goroutine_runs) {
  ASSERT_TRUE(locked_during_start);
  ASSERT_EQ(thread_id(), getpid());
  run([] {
    EXPECT_EQ(thread_id(), getpid());
    gort::sleep(1ms);
    EXPECT_EQ(thread_id(), getpid());
  });
}

TEST(lock_main_thread, others_run_elsewhere_and_an_exception_is_caught_there) {
  for (int procs : {1, 2, 4}) {
    test::with_procs(procs, [] {
      auto c = make_chan<int>();
      wait_group all;
      for (int i = 0; i < 100; ++i) {
        all.go([c, i] {
          EXPECT_NE(thread_id(), getpid());
          c.send(i);
        });
      }
      for (int i = 0; i < 100; ++i) {
        c.recv();
        EXPECT_EQ(thread_id(), getpid());
        try {
          runtime::gosched();
          throw i;
        } catch (int caught) {
          runtime::gosched();
          EXPECT_EQ(caught, i);
        }
      }
      all.wait();
    });
  }
}

}  // namespace
}  // namespace gort
