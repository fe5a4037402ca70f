// A child that is forked while the heap is collected has no collector: what it does with pointers
// that it has waits for none, and needs nothing of gort.
#include <gort/gc.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/detail/atomic.hpp>
#include <gort/runtime.hpp>

#include "support/run.hpp"

namespace gort {
namespace {

struct cell {
  gc::ptr<cell> next;
  std::string text;
};

TEST(gc_fork, pointers_are_copied_and_destroyed_in_a_child_forked_at_any_time) {
  test::with_procs(2, [] {
    constexpr int count = 100'000, children = 150;
    std::vector<gc::ptr<cell>> all(count);
    for (auto& each : all) each = gc::make<cell>();
    detail::atomic<bool> stop;
    std::thread collects([&stop] {
      while (!stop.load_relaxed()) runtime::gc();
    });
    for (int i = 0; i < children; ++i) {
      const pid_t child = fork();
      if (child == 0) {
        alarm(60);
        { const gc::ptr<cell> copy = all[5]; }
        all.clear();
        _exit(0);
      }
      int status = -1;
      EXPECT_EQ(waitpid(child, &status, 0), child);
      EXPECT_EQ(status, 0);
    }
    stop.store_relaxed(true);
    collects.join();
  });
}

}  // namespace
}  // namespace gort
