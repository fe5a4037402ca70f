// Giving back a parked goroutine's pages while somebody may run it: the protocol of
// src/sched/stacks/stack_trim.hpp. `stack` stands for the pages below the saved stack pointer;
// dropping them is a write. The barrier of every thread is implied: values here are sequentially
// consistent.
#include <memory>

#include <gtest/gtest.h>

#include "model/engine.hpp"
#include "model/shim_atomic.hpp"
#include "sched/stacks/stack_trim.hpp"

namespace gort::model {
namespace {

struct goroutine {
  detail::atomic<std::uint32_t> on_cpu;  // parked and saved
  detail::atomic<std::uint32_t> trim;
  detail::atomic<int> since{1};
  plain<int> stack{0};
  int dropped = 0;
};

enum class fault { none, runner_does_not_look, no_second_look, claim_by_on_cpu };

void run_once(goroutine& g, fault with, int round) {
  if (with == fault::claim_by_on_cpu) {
    // The path of today's switch: look, then store.
    wait_until(g.on_cpu.address(), [&] { return *g.on_cpu.address() == 0; });
    check(g.on_cpu.load_acquire() == 0 || true, "");
    g.on_cpu.store_relaxed(1);
  } else {
    g.on_cpu.store_relaxed(1);
    if (with != fault::runner_does_not_look && g.trim.load_acquire() != sched::trim_none) {
      sched::end_trim_claim(g.trim, [&] {
        wait_until(g.trim.address(), [&] { return *g.trim.address() == sched::trim_none; });
      });
    }
  }
  g.stack.set(round);
  check(g.stack.get() == round, "its pages are gone");
  g.since.store_relaxed(round + 1);
  g.on_cpu.store_release(0);
}

scenario drop_against_run(fault with, int rounds) {
  auto g = std::make_shared<goroutine>();
  return scenario{
      {// sysmon
       [g, with] {
         if (with == fault::claim_by_on_cpu) {
           std::uint32_t nowhere = 0;
           if (!g->on_cpu.cas_acq_rel(nowhere, 3)) return;
           g->stack.set(0);
           g->on_cpu.store_release(0);
           return;
         }
         const int since = g->since.load_relaxed();
         if (g->on_cpu.load_acquire() != 0) return;
         std::uint32_t none = sched::trim_none;
         g->trim.cas_acq_rel(none, sched::trim_claimed);
         sched::drop_if_parked(
             g->trim,
             [&] {
               return with == fault::no_second_look ||
                      (g->on_cpu.load_acquire() == 0 && g->since.load_relaxed() == since);
             },
             [&] {
               g->stack.set(0);
               ++g->dropped;
             });
       },
       // An M that has picked it; the next one of its runs follows from the first.
       [g, with, rounds] {
         for (int round = 1; round <= rounds; ++round) run_once(*g, with, round);
       }},
      [g] { check(g->trim.load_relaxed() == 0, "a claim is left"); }};
}

TEST(trim, pages_are_never_dropped_from_under_a_running_goroutine) {
  for (int rounds : {1, 2, 3}) {
    const outcome o = explore([rounds] { return drop_against_run(fault::none, rounds); });
    EXPECT_FALSE(o.failed) << o.report;
    EXPECT_TRUE(o.complete) << "only " << o.executions << " executions";
    std::printf("%ld executions\n", o.executions);
  }
}

TEST(fault, a_runner_that_does_not_look_is_found) {
  EXPECT_TRUE(explore([] { return drop_against_run(fault::runner_does_not_look, 1); }).failed);
}

TEST(fault, dropping_without_a_second_look_is_found) {
  EXPECT_TRUE(explore([] { return drop_against_run(fault::no_second_look, 1); }).failed);
}

TEST(fault, a_claim_by_on_cpu_alone_is_overwritten) {
  EXPECT_TRUE(explore([] { return drop_against_run(fault::claim_by_on_cpu, 1); }).failed);
}

}  // namespace
}  // namespace gort::model
