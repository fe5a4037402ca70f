// Contexts, sleeping, timers, tickers: what Go's documentation promises.
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include <gort/context.hpp>
#include <gort/select.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "support/element.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
using test::element;
using test::with_procs;

TEST(context, background_is_never_done) {
  const context ctx = background();
  EXPECT_FALSE(ctx.done());
  EXPECT_FALSE(ctx.err());
  EXPECT_EQ(ctx.cause(), nullptr);
  EXPECT_FALSE(ctx.deadline());
}

TEST(context, cancel_reaches_the_whole_subtree_and_nothing_else) {
  run([] {
    auto [root, cancel_root] = with_cancel(background());
    auto [left, cancel_left] = with_cancel(root);
    static const context_key<element> key;
    const context leaf = with_value(left, key, element(5));
    auto [deep, cancel_deep] = with_cancel(leaf);
    auto [right, cancel_right] = with_cancel(root);
    cancel_left();
    cancel_left();  // idempotent
    EXPECT_EQ(deep.err(), context_error::canceled);
    EXPECT_EQ(deep.err().message(), "context canceled");
    EXPECT_EQ(leaf.err(), context_error::canceled);
    EXPECT_FALSE(right.err());
    EXPECT_FALSE(root.err());
    deep.done().recv();
    EXPECT_FALSE(right.done().try_recv().ready);
    auto [late, cancel_late] = with_cancel(left);
    EXPECT_EQ(late.err(), context_error::canceled);
  });
}

TEST(context, the_cancel_handle_cancels_when_it_goes) {
  context kept;
  {
    auto made = with_cancel(background());
    kept = made.ctx;
    EXPECT_FALSE(kept.err());
  }
  EXPECT_EQ(kept.err(), context_error::canceled);
}

TEST(context, the_cause_travels_down) {
  auto [parent, cancel] = with_cancel(background());
  auto [child, cancel_child] = with_cancel(parent);
  cancel(std::runtime_error("power cut"));
  try {
    std::rethrow_exception(child.cause());
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_STREQ(e.what(), "power cut");
  }
  auto [plain, cancel_plain] = with_cancel(background());
  cancel_plain();
  EXPECT_THROW(std::rethrow_exception(plain.cause()), std::system_error);
}

TEST(context, deadlines) {
  run([] {
    auto [ctx, cancel] = with_timeout(background(), 2ms);
    EXPECT_TRUE(ctx.deadline());
    auto [child, cancel_child] = with_timeout(ctx, 1h);
    EXPECT_EQ(child.deadline(), ctx.deadline()) << "the earlier one counts";
    child.done().recv();
    EXPECT_EQ(child.err(), context_error::deadline_exceeded);
    EXPECT_EQ(ctx.err().message(), "context deadline exceeded");
    auto [past, cancel_past] = with_deadline(background(), clock::now() - 1s);
    EXPECT_EQ(past.err(), context_error::deadline_exceeded);
    const auto when = clock::now() + 10ms;
    auto [stopped, cancel_stopped] = with_deadline(background(), when);
    cancel_stopped();
    const bool in_time = clock::now() < when;
    gort::sleep(20ms);
    if (in_time) {
      EXPECT_EQ(stopped.err(), context_error::canceled);
    }
  });
}

TEST(context, values_are_found_by_key_and_type) {
  static const context_key<std::string> name;
  static const context_key<element> number;
  const context a = with_value(background(), name, std::string("a"));
  const context b = with_value(a, number, element(7));
  const context c = with_value(b, name, std::string("c"));
  EXPECT_EQ(*c.value(name), "c");
  EXPECT_EQ(*c.value(number), 7);
  EXPECT_EQ(*b.value(name), "a");
  EXPECT_EQ(a.value(number), nullptr);
}

TEST(context, without_cancel_keeps_the_values_only) {
  static const context_key<element> number;
  auto [parent, cancel] = with_cancel(with_value(background(), number, element(3)));
  const context kept = without_cancel(parent);
  cancel();
  EXPECT_FALSE(kept.err());
  EXPECT_EQ(*kept.value(number), 3);
}

TEST(context, after_func_runs_once_unless_stopped) {
  run([] {
    auto [ctx, cancel] = with_cancel(background());
    auto ran = make_chan<element>(4);
    auto stop_first = after_func(ctx, [ran] { ran.send(1); });
    auto stop_second = after_func(ctx, [ran] { ran.send(2); });
    EXPECT_TRUE(stop_first());
    EXPECT_FALSE(stop_first());
    cancel();
    EXPECT_EQ(ran.recv(), 2);
    EXPECT_FALSE(stop_second());
    after_func(ctx, [ran] { ran.send(3); });  // at once
    EXPECT_EQ(ran.recv(), 3);
    runtime::gosched();
    EXPECT_EQ(ran.len(), 0u);
  });
}

TEST(context, children_come_and_go_while_parents_are_cancelled) {
  for (const int procs : {1, 4}) {
    with_procs(procs, [] {
      for (int i = 0; i < 100; ++i) {
        auto [parent, cancel] = with_cancel(background());
        wait_group all;
        for (int k = 0; k < 4; ++k) {
          all.go([parent = parent] {
            for (int n = 0; n < 5; ++n) {
              auto [child, cancel_child] = with_timeout(parent, 1h);
              auto stop = after_func(child, [] {});
              if (n % 2 == 0) cancel_child();
              stop();
            }
            auto [last, cancel_last] = with_cancel(parent);
            last.done().recv();
          });
        }
        runtime::gosched();
        cancel();
        all.wait();
      }
    });
  }
}

TEST(sleep, takes_at_least_its_time_from_goroutines_and_threads) {
  auto check = [] {
    const auto before = clock::now();
    gort::sleep(3ms);
    EXPECT_GE(clock::now() - before, 3ms);
    gort::sleep(-1s);
    gort::sleep(0s);
    sleep_until(before);
  };
  run(check);
  std::thread([&] {
    run([] {});
    go([] {});
  }).join();
  run([&] {
    auto done = make_chan<element>();
    std::thread other([&, done] {
      check();
      done.close();
    });
    done.recv();
    other.join();
  });
}

TEST(sleep, many_at_once_all_wake) {
  for (const int procs : {1, 4}) {
    with_procs(procs, [] {
      wait_group all;
      for (int i = 0; i < 500; ++i) {
        all.go([i] {
          for (int k = 0; k < 10; ++k)
            gort::sleep(std::chrono::microseconds((i * 7 + k * 13) % 500));
        });
      }
      all.wait();
    });
  }
}

TEST(timer, fires_once_and_says_whether_stop_was_in_time) {
  run([] {
    const auto before = clock::now();
    timer t(2ms);
    EXPECT_GE(*t.c().recv() - before, 2ms);
    EXPECT_FALSE(t.stop());
    timer never(1h);
    EXPECT_TRUE(never.stop());
    EXPECT_FALSE(never.stop());
    EXPECT_FALSE(never.c().try_recv().ready);
    EXPECT_THROW(timer().stop(), runtime_error);
  });
}

TEST(timer, no_stale_value_after_stop_or_reset) {
  run([] {
    for (int i = 0; i < 200; ++i) {
      timer t(std::chrono::microseconds(i % 20));
      gort::sleep(std::chrono::microseconds(i % 40));
      t.stop();
      EXPECT_FALSE(t.c().try_recv().ready);
      const auto again = clock::now();
      t.reset(100us);
      EXPECT_GE(*t.c().recv(), again + 100us);
    }
  });
}

TEST(timer, after_and_after_func) {
  run([] {
    const auto before = clock::now();
    EXPECT_GE(*after(1ms).recv() - before, 1ms);
    auto fired = make_chan<element>(2);
    const timer t = after_func(1ms, [fired] { fired.send(1); });
    EXPECT_EQ(fired.recv(), 1);
    t.reset(1ms);
    EXPECT_EQ(fired.recv(), 1);
    const timer stopped = after_func(1h, [] { FAIL(); });
    EXPECT_TRUE(stopped.stop());
    std::size_t chosen =
        select(after(1ms).on_recv([](auto) {}), make_chan<element>().on_recv([](auto) {}));
    EXPECT_EQ(chosen, 0u);
  });
}

TEST(ticker, ticks_drops_for_slow_receivers_and_stops) {
  run([] {
    EXPECT_THROW(ticker(0ms), runtime_error);
    auto last = clock::now();  // before: the first tick may be over when this thread goes on
    ticker t(500us);
    for (int i = 0; i < 5; ++i) {
      const auto now = *t.c().recv();
      EXPECT_GT(now, last);
      last = now;
    }
    gort::sleep(5ms);
    EXPECT_LE(t.c().len(), 1u);
    t.reset(1ms);
    t.c().recv();
    t.stop();
    EXPECT_FALSE(t.c().try_recv().ready);
    gort::sleep(3ms);
    EXPECT_FALSE(t.c().try_recv().ready);
  });
}

}  // namespace
}  // namespace gort
