// No phase of a collection stops anybody, or waits for anybody to stop: with one who computes and
// cannot be preempted, on each of the Ps but that of who collects, cycles end all the same.
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/gc.hpp>
#include <gort/go.hpp>
#include <gort/metrics.hpp>
#include <gort/runtime.hpp>

#include "support/gc_support.hpp"
#include "support/metrics_support.hpp"
#include "support/program.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;
using test::counted;

// Of the world, for whatever reason.
std::uint64_t stops() {
  return test::times("/sched/pauses/total/other:seconds").total();
}

// The marking's own work is done while they compute: what they hold lives, what they drop dies.
TEST(program, DISABLED_collects_beside_those_who_compute) {
  test::with_procs(3, [] {
    counted::reset();
    constexpr int computing = 2;
    detail::atomic<int> there;
    detail::atomic<bool> leave;
    auto done = make_chan<char>();
    for (int i = 0; i < computing; ++i) {
      go([&, i, done]() mutable {
        const gc::ptr<counted> only = gc::make<counted>(i);
        there.fetch_add_acq_rel(1);
        while (!leave.load_relaxed()) {
        }
        only->check();
        done.send(0);
      });
    }
    std::thread plain([&] {
      const gc::ptr<counted> only = gc::make<counted>(computing);
      there.fetch_add_acq_rel(1);
      while (!leave.load_relaxed()) {
      }
      only->check();
    });
    while (there.load_acquire() < computing + 1) runtime::gosched();
    constexpr int several = 10;
    const std::uint64_t before = stops();
    for (int i = 0; i < several; ++i) {
      (void)gc::make<counted>(-1);
      runtime::gc();
    }
    EXPECT_GE(counted::made() - counted::ended(), computing + 1);
    std::printf("stopped %llu times\n", static_cast<unsigned long long>(stops() - before));
    leave.store_relaxed(true);
    for (int i = 0; i < computing; ++i) done.recv();
    plain.join();
  });
}

TEST(gc_no_stop, cycles_end_while_others_compute_and_cannot_be_preempted) {
  const test::ended child =
      test::run_program("collects_beside_those_who_compute", "GODEBUG=asyncpreemptoff=1");
  EXPECT_EQ(child.status, 0) << child.head();
  EXPECT_TRUE(child.has("stopped 0 times\n")) << child.head();
}

}  // namespace
