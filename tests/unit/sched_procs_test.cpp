// GOMAXPROCS while running, and stopping the world under load.
#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/detail/inside.hpp>
#include <gort/detail/park.hpp>
#include <gort/detail/timer_node.hpp>

#include "support/run.hpp"

namespace gort {
namespace {

using test::gathering;

TEST(gomaxprocs, reads_and_sets_and_returns_the_previous) {
  run([] {
    const int before = runtime::gomaxprocs(3);
    EXPECT_EQ(runtime::gomaxprocs(0), 3);
    EXPECT_EQ(runtime::gomaxprocs(-5), 3);
    EXPECT_EQ(runtime::gomaxprocs(1), 3);
    EXPECT_EQ(runtime::gomaxprocs(before), 1);
    EXPECT_THROW(runtime::gomaxprocs(1 << 20), std::invalid_argument);
  });
}

TEST(gomaxprocs, changes_under_load_lose_no_goroutine_and_no_timer) {
  run([] {
    const int before = runtime::gomaxprocs(0);
    constexpr int workers = 64;
    constexpr int hops = 200;
    gathering all(2 * workers);
    for (int i = 0; i < workers; ++i) {
      go([&] {
        auto c = make_chan<int>(1);
        for (int k = 0; k < hops; ++k) {
          go([c, k] { c.send(k); });
          c.recv();
        }
        all.done();
      });
      go([&] {
        for (int k = 0; k < 20; ++k) {
          auto never = make_chan<int>();
          EXPECT_FALSE(never.recv_for(std::chrono::microseconds(200)).ready);
        }
        all.done();
      });
    }
    for (const int n : {1, 7, 2, 16, 3, 1, 4, 32, 2}) {
      runtime::gomaxprocs(n);
      runtime::gosched();
    }
    all.wait();
    runtime::gomaxprocs(before);
  });
}

TEST(gomaxprocs, several_change_it_at_once) {
  run([] {
    const int before = runtime::gomaxprocs(2);
    gathering all(8);
    for (int i = 0; i < 8; ++i) {
      go([&, i] {
        for (int k = 0; k < 20; ++k) {
          runtime::gomaxprocs(1 + (i + k) % 5);
          runtime::gosched();
        }
        all.done();
      });
    }
    detail::atomic<int> threads_left{2};
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&] {
        for (int k = 0; k < 20; ++k) runtime::gomaxprocs(1 + k % 3);
        threads_left.fetch_sub_relaxed(1);
      });
    }
    all.wait();
    while (threads_left.load_relaxed() != 0) runtime::gosched();  // join() would hold the P
    for (auto& t : threads) t.join();
    runtime::gomaxprocs(before);
  });
}

TEST(gomaxprocs, can_be_changed_between_two_runs) {
  run([] { runtime::gomaxprocs(2); });
  EXPECT_EQ(runtime::gomaxprocs(5), 2);
  run([] {
    EXPECT_EQ(runtime::gomaxprocs(2), 5);
    auto c = make_chan<int>();
    go([c] { c.send(1); });
    EXPECT_EQ(c.recv(), 1);
  });
}

TEST(gomaxprocs, bounds_the_goroutines_that_run_at_once) {
  for (const int procs : {1, 3}) {
    test::with_procs(procs, [&] {
      detail::atomic<int> running;
      detail::atomic<int> most;
      gathering all(50);
      for (int i = 0; i < 50; ++i) {
        go([&] {
          for (int k = 0; k < 200; ++k) {
            {
              // Else it may be parked in place here, and count as one that runs.
              const detail::inside_gort not_preempted;
              const int now = running.fetch_add_relaxed(1) + 1;
              int seen = most.load_relaxed();
              while (now > seen && !most.cas_relaxed(seen, now)) {
              }
              for (int n = 0; n < 2000; ++n) asm volatile("");  // or hardly any two would meet
              running.fetch_sub_relaxed(1);
            }
            runtime::gosched();
          }
          all.done();
        });
      }
      all.wait();
      EXPECT_LE(most.load_relaxed(), procs);
    });
  }
}

// A timer that counts.
struct counter_timer : detail::timer_node {
  detail::atomic<int> fired;
  counter_timer()
      : timer_node([](timer_node& self, std::int64_t) {
          static_cast<counter_timer&>(self).fired.fetch_add_relaxed(1);
        }) {}
};

TEST(timers, a_stopped_one_does_not_fire_and_says_whether_it_was_armed) {
  run([] {
    counter_timer t;
    EXPECT_FALSE(detail::timer_stop(t));
    detail::timer_start(t, detail::now_ns() + 3'600'000'000'000);
    EXPECT_TRUE(detail::timer_stop(t));
    EXPECT_FALSE(detail::timer_stop(t));
    EXPECT_EQ(t.fired.load_relaxed(), 0);
  });
}

TEST(timers, fire_in_the_order_of_their_times) {
  test::with_procs(1, [] {
    struct ordered : detail::timer_node {
      int n = 0;
      std::vector<int>* out = nullptr;
      ordered()
          : timer_node([](timer_node& self, std::int64_t) {
              auto& me = static_cast<ordered&>(self);
              me.out->push_back(me.n);
            }) {}
    };
    std::vector<int> order;
    std::vector<ordered> timers(200);
    {
      const detail::inside_gort keeps_its_p;  // so that none fires before, however long this takes
      const std::int64_t base = detail::now_ns() + 2'000'000;
      for (int i = 0; i < 200; ++i) {
        auto& t = timers[static_cast<std::size_t>(i)];
        t.n = (i * 37) % 200;  // a permutation
        t.out = &order;
        detail::timer_start(t, base + t.n * 1000);
      }
      for (int i = 0; i < 200; i += 3) detail::timer_stop(timers[static_cast<std::size_t>(i)]);
    }
    auto never = make_chan<int>();
    never.recv_for(std::chrono::milliseconds(20));
    EXPECT_EQ(order.size(), 133u);
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  });
}

TEST(timers, stop_from_another_thread_waits_for_a_callback_in_progress) {
  run([] {
    for (int i = 0; i < 300; ++i) {
      auto t = std::make_unique<counter_timer>();
      detail::timer_start(*t, detail::now_ns() + (i % 7) * 10'000);
      auto done = make_chan<char>();
      std::thread stopper([&, done] {
        const bool was_armed = detail::timer_stop(*t);
        EXPECT_EQ(t->fired.load_relaxed(), was_armed ? 0 : 1);
        t.reset();  // must not be touched any more
        done.close();
      });
      done.recv();  // so that join(), which holds the P, is short
      stopper.join();
    }
  });
}

}  // namespace
}  // namespace gort
