// What a burst of goroutines leaves behind goes back to the system.
#include <chrono>
#include <cstdlib>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "base/sanitizer.hpp"
#include "support/metrics_support.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

constexpr int goroutines = 2000;
constexpr std::size_t deep_bytes = 10'000;

// Read once, when the runtime starts: 40 ms instead of 10 s.
[[maybe_unused]] const int short_patience = setenv("GODEBUG", "stackgiveback=40", 0);

// All are alive at once, and have used that much of their stacks.
void burst() {
  auto gate = make_chan<int>();
  wait_group all, deep;
  deep.add(goroutines);
  for (int i = 0; i < goroutines; ++i) {
    all.go([gate, &deep] {
      volatile char frame[deep_bytes];
      for (std::size_t at = 0; at < deep_bytes; at += 512) frame[at] = 1;
      deep.done();
      gate.recv();
      for (std::size_t at = 0; at < deep_bytes; at += 512) EXPECT_EQ(frame[at], 1);
    });
  }
  deep.wait();
  gate.close();
  all.wait();
}

TEST(stack_scavenge, at_once_when_asked_for) {
  GORT_NOT_UNDER(base::with_asan || base::with_tsan, "nothing is given back");
  run([] {
    const auto before = debug::read_stack_counts();
    burst();
    test::until_goroutines_left();  // whose stacks are free a moment later
    debug::free_os_memory();
    const auto after = debug::read_stack_counts();
    EXPECT_LE(after.free_warm_stacks, static_cast<std::uint64_t>(runtime::gomaxprocs(0)));
    EXPECT_GE(after.scavenged_stacks - before.scavenged_stacks, goroutines * 9 / 10);
    EXPECT_GE(after.scavenged_bytes - before.scavenged_bytes, goroutines * 9 / 10 * deep_bytes);
    EXPECT_EQ(test::whole("/gort/stacks/scavenged:bytes"), after.scavenged_bytes);
    EXPECT_EQ(test::whole("/gort/stacks/scavenged:stacks"), after.scavenged_stacks);
    EXPECT_EQ(test::whole("/gort/stacks/warm:stacks"), after.free_warm_stacks);
    burst();  // on stacks without pages
  });
}

TEST(stack_scavenge, by_itself_in_time) {
  GORT_NOT_UNDER(base::with_asan || base::with_tsan, "nothing is given back");
  run([] {
    const auto before = debug::read_stack_counts();
    burst();
    while (debug::read_stack_counts().free_warm_stacks != 0) gort::sleep(10ms);
    const auto after = debug::read_stack_counts();
    EXPECT_GE(after.scavenged_bytes - before.scavenged_bytes, goroutines * 9 / 10 * deep_bytes);
    burst();
  });
}

}  // namespace
}  // namespace gort
