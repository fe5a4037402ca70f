// Whether blocking() gives its P away at once: as the last calls made at the same place suggest.
#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/runtime.hpp>
#include <gort/wait_group.hpp>

#include "os/preempt.hpp"
#include "support/metrics_support.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

// How many Ps were given away at the beginning of calls. (That a call has none may also be because
// sysmon has just taken it.)
std::uint64_t given() { return test::whole("/gort/sched/hand-offs/given:processors"); }

// Makes a call while a goroutine waits for the P, and says whether that was given away at once.
// until_taken: the call lasts until that goroutine has run. All calls are made at this one place.
bool given_away_at_once(bool until_taken) {
  detail::atomic<bool> other_ran;
  wait_group other;
  other.go([&] { other_ran.store_release(true); });
  const std::uint64_t before = given();
  blocking([&] {
    while (until_taken && !other_ran.load_acquire()) {
    }
  });
  other.wait();
  return given() != before;
}

TEST(sched_blocking, the_p_is_kept_by_short_calls_and_given_away_by_long_ones) {
  if (!os::fences_running_threads()) GORT_SKIP("no barrier for a thread that computes in its call");
  test::with_procs(1, [] {
    constexpr int calls_max = 10'000;
    const auto taken = [] {
      return test::whole("/gort/sched/hand-offs/taken-announced:processors");
    };
    const std::uint64_t before = taken();
    EXPECT_FALSE(given_away_at_once(false)) << "short as far as anybody knows";
    const bool was_short = taken() == before;  // unless the machine has held it up
    const bool is_given = given_away_at_once(true);
    EXPECT_FALSE(was_short && is_given) << "a surprise: sysmon takes it";
    // Not yet if the M that could take it is still on its way to bed.
    int calls = 0;
    while (!given_away_at_once(true) && calls < calls_max) ++calls;
    EXPECT_LT(calls, calls_max);
    // Short calls change the guess again; one that the machine has held up for 20 us does not.
    int kept_in_a_row = 0;
    for (calls = 0; kept_in_a_row < 3 && calls < calls_max; ++calls)
      kept_in_a_row = given_away_at_once(false) ? 0 : kept_in_a_row + 1;
    EXPECT_LT(calls, calls_max);
  });
}

}  // namespace
}  // namespace gort
