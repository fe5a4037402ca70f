// ARCHITECTURE.md, "Fairness": what the scheduler promises to those that wait. Counted in turns,
// not in time.
#include <gtest/gtest.h>

#include "support/run.hpp"

namespace gort {
namespace {

using test::with_procs;

// Turns that the others took before `f` got its first, with one P.
struct ping_pong {
  chan<int> there = make_chan<int>();
  chan<int> back = make_chan<int>();
  chan<int> ended = make_chan<int>();
  long turns = 0;
  bool stop = false;

  void start() {
    go([this] {
      for (int v : there) {
        ++turns;
        back.send(v);
      }
      ended.close();
    });
    go([this] {
      while (!stop) {
        there.send(1);
        back.recv();
        ++turns;
      }
      there.close();
    });
  }

  void finish() {
    stop = true;
    ended.recv();
  }
};

TEST(fairness, two_that_wake_each_other_do_not_starve_a_yielding_third) {
  with_procs(1, [] {
    ping_pong pair;
    pair.start();
    // Some 250 picks, each a turn. Not each time: a chain may stay as long as the one before it, so
    // if the kernel takes the thread away from this goroutine, the pair then has as much time.
    int late = 0;
    for (int i = 0; i < 100; ++i) {
      const long before = pair.turns;
      runtime::gosched();
      if (pair.turns - before > 400) ++late;
    }
    EXPECT_LE(late, 20);
    pair.finish();
  });
}

TEST(fairness, two_that_wake_each_other_do_not_starve_an_unstarted_third) {
  with_procs(1, [] {
    ping_pong pair;
    pair.start();
    int late = 0;  // as above
    for (int i = 0; i < 20; ++i) {
      auto started = make_chan<long>();
      const long before = pair.turns;
      go([&, started] { started.send(pair.turns); });
      if (*started.recv() - before > 2500) ++late;
    }
    EXPECT_LE(late, 5);
    pair.finish();
  });
}

TEST(fairness, a_chain_that_starts_its_successor_does_not_starve_the_first_started) {
  with_procs(1, [] {
    // Each link starts the next one and ends: the newest unstarted goroutine is always a link.
    struct chain {
      bool stop = false;
      long links = 0;
      void link() {
        ++links;
        if (!stop) go([this] { link(); });
      }
    } links;
    auto ran = make_chan<long>(1);
    go([&] { ran.send(links.links); });
    go([&] { links.link(); });
    const long waited = *ran.recv();
    links.stop = true;
    EXPECT_LE(waited, 2500);
    runtime::gosched();
  });
}

TEST(fairness, work_submitted_from_outside_runs_while_a_pair_keeps_the_processor_busy) {
  with_procs(1, [] {
    ping_pong pair;
    pair.start();
    auto done = make_chan<int>(2000);
    // More than a queue holds: most go through the global queue.
    for (int i = 0; i < 2000; ++i) go([done] { done.send(1); });
    for (int i = 0; i < 2000; ++i) done.recv();
    pair.finish();
  });
}

}  // namespace
}  // namespace gort
