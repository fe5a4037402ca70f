// Every primitive under load, by goroutines and plain threads at once: what must be conserved is.
#include <array>
#include <chrono>
#include <memory>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/errgroup.hpp>
#include <gort/select.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "support/run.hpp"
#include "support/seed.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
using detail::atomic;

class sync_stress : public ::testing::TestWithParam<int> {
 protected:
  // Runs f(random, is_over) on `goroutines` goroutines and `threads` plain threads until the time
  // is over, and waits for all. Who comes late still works once: f asks is_over() afterwards.
  template <class F>
  void crowd(int goroutines, int threads, F f) {
    test::with_procs(GetParam(), [&] {
      atomic<int> stop;
      auto is_over = [&stop] { return stop.load_relaxed() != 0; };
      wait_group all;
      std::vector<std::thread> plain;
      const unsigned seed = static_cast<unsigned>(test::seed());
      for (int i = 0; i < goroutines; ++i) {
        all.go([&, i] {
          std::minstd_rand random(seed + static_cast<unsigned>(i) + 1);
          f(random, is_over);
        });
      }
      for (int i = 0; i < threads; ++i) {
        plain.emplace_back([&, i] {
          std::minstd_rand random(seed + static_cast<unsigned>(i) + 1000);
          f(random, is_over);
        });
      }
      const auto end = clock::now() + std::chrono::duration<double>(test::stress_seconds());
      while (clock::now() < end) gort::sleep(1ms);
      stop.store_relaxed(1);
      all.wait();
      for (std::thread& each : plain) each.join();
    });
  }
};

void linger(std::minstd_rand& random) {
  if (random() % 8 == 0) runtime::gosched();
  if (random() % 256 == 0) gort::sleep(10us);
}

TEST_P(sync_stress, mutex_excludes_however_it_is_taken) {
  mutex lock;
  long guarded = 0;  // by lock
  atomic<long> expected;
  crowd(6, 2, [&](std::minstd_rand& random, auto is_over) {
    for (bool once = false; !once || !is_over();) {
      bool mine = true;
      switch (random() % 3) {
        case 0: lock.lock(); break;
        case 1: mine = lock.try_lock(); break;
        default: mine = lock.try_lock_for(std::chrono::microseconds(random() % 50)); break;
      }
      if (!mine) {
        runtime::gosched();
        continue;
      }
      const long before = guarded;
      linger(random);
      guarded = before + 1;
      lock.unlock();
      expected.fetch_add_relaxed(1);
      once = true;
    }
  });
  EXPECT_EQ(guarded, expected.load_relaxed());
  EXPECT_GT(guarded, 0);
}

TEST_P(sync_stress, rw_mutex_shows_readers_whole_states) {
  rw_mutex lock;
  std::array<long, 4> state{};  // all equal, guarded by lock
  crowd(6, 2, [&](std::minstd_rand& random, auto is_over) {
    bool once = false;  // written
    while (!once || !is_over()) {
      if (!once || random() % 4 == 0) {
        once = true;
        const std::lock_guard guard(lock);
        for (long& each : state) {
          ++each;
          linger(random);
        }
      } else {
        const std::shared_lock guard(lock);
        const std::array<long, 4> seen = state;
        linger(random);
        for (const long each : state) ASSERT_EQ(each, seen[0]);
      }
    }
  });
  EXPECT_GT(state[0], 0);
}

TEST_P(sync_stress, wait_group_waits_for_all_of_each_round) {
  crowd(4, 1, [](std::minstd_rand& random, auto is_over) {
    while (!is_over()) {
      wait_group group;
      atomic<long> ended;
      const long n = static_cast<long>(random() % 20);
      for (long i = 0; i < n; ++i) {
        group.go([&ended, i] {
          if (i % 3 == 0) runtime::gosched();
          ended.fetch_add_relaxed(1);
        });
      }
      group.wait();
      ASSERT_EQ(ended.load_relaxed(), n);
    }
  });
}

TEST_P(sync_stress, once_happens_once_before_anybody_goes_on) {
  struct shot {
    once first;
    long value = 0;
  };
  crowd(2, 1, [](std::minstd_rand& random, auto is_over) {
    while (!is_over()) {
      shot one;
      wait_group callers;
      for (int i = 0; i < 6; ++i) {
        callers.go([&] {
          one.first.call([&] {
            runtime::gosched();
            ++one.value;
          });
          ASSERT_EQ(one.value, 1);
        });
      }
      callers.wait();
      linger(random);
    }
  });
}

TEST_P(sync_stress, cond_loses_no_element_of_a_queue) {
  mutex lock;
  cond not_full, not_empty;
  std::vector<long> queue;  // guarded by lock
  bool closed = false;      // likewise
  atomic<long> put, got, producing;
  producing.store_relaxed(4);
  atomic<int> role;
  crowd(6, 2, [&](std::minstd_rand& random, auto is_over) {
    if (role.fetch_add_relaxed(1) % 2 == 0) {
      do {
        const long value = 1 + static_cast<long>(random() % 100);
        std::unique_lock guard(lock);
        not_full.wait(guard, [&] { return queue.size() < 3; });
        queue.push_back(value);
        put.fetch_add_relaxed(value);
        not_empty.signal();
      } while (!is_over());
      if (producing.fetch_sub_acq_rel(1) == 1) {  // pairs with the other decrements
        const std::lock_guard guard(lock);
        closed = true;
        not_empty.broadcast();
      }
    } else {
      for (;;) {
        std::unique_lock guard(lock);
        while (queue.empty() && !closed) (void)not_empty.wait_for(guard, 1ms);
        if (queue.empty()) return;
        got.fetch_add_relaxed(queue.back());
        queue.pop_back();
        not_full.signal();
      }
    }
  });
  EXPECT_EQ(put.load_relaxed(), got.load_relaxed());
  EXPECT_GT(put.load_relaxed(), 0);
}

TEST_P(sync_stress, semaphore_never_overcommits_also_when_waits_are_cancelled) {
  constexpr long size = 5;
  semaphore places(size);
  atomic<long> taken;
  crowd(6, 2, [&](std::minstd_rand& random, auto is_over) {
    while (!is_over()) {
      const long n = 1 + static_cast<long>(random() % size);
      bool mine = true;
      switch (random() % 3) {
        case 0: places.acquire(n); break;
        case 1: mine = places.try_acquire(n); break;
        default: {
          auto [ctx, cancel] =
              with_timeout(background(), std::chrono::microseconds(random() % 200));
          mine = places.acquire(ctx, n);
        }
      }
      if (!mine) continue;
      ASSERT_LE(taken.fetch_add_relaxed(n) + n, size);
      linger(random);
      taken.fetch_sub_relaxed(n);
      places.release(n);
    }
  });
  EXPECT_TRUE(places.try_acquire(size));
}

TEST_P(sync_stress, sync_pool_gives_each_object_to_one) {
  struct object {
    atomic<int> users;
  };
  sync_pool<object> pool;
  crowd(6, 2, [&](std::minstd_rand& random, auto is_over) {
    while (!is_over()) {
      std::unique_ptr<object> mine = pool.get();
      ASSERT_EQ(mine->users.fetch_add_relaxed(1), 0);
      linger(random);
      mine->users.fetch_sub_relaxed(1);
      if (random() % 16 != 0) pool.put(std::move(mine));
      if (random() % 1024 == 0) pool.trim();
    }
  });
}

TEST_P(sync_stress, errgroup_keeps_its_limit_and_the_first_error) {
  crowd(3, 1, [](std::minstd_rand& random, auto is_over) {
    while (!is_over()) {
      errgroup group{background()};
      group.set_limit(3);
      atomic<int> running, ran;
      const int n = static_cast<int>(random() % 12);
      const int failing = static_cast<int>(random() % 16);
      int started = 0;
      for (int i = 0; i < n; ++i) {
        auto job = [&, i] {
          ASSERT_LE(running.fetch_add_relaxed(1), 2);
          if (i % 2 == 0) runtime::gosched();
          running.fetch_sub_relaxed(1);
          ran.fetch_add_relaxed(1);
          if (i == failing) throw std::runtime_error("failed");
        };
        if (random() % 2 == 0) {
          group.go(job);
          ++started;
        } else if (group.try_go(job)) {
          ++started;
        } else if (i == failing) {
          group.go(job);
          ++started;
        }
      }
      if (failing < n) {
        EXPECT_THROW(group.wait(), std::runtime_error);
        EXPECT_TRUE(group.context().err());
      } else {
        group.wait();
      }
      ASSERT_EQ(ran.load_relaxed(), started);
    }
  });
}

TEST_P(sync_stress, single_flight_runs_one_call_per_key_at_a_time) {
  single_flight<int, long> flights;
  std::array<atomic<int>, 3> running;
  crowd(6, 2, [&](std::minstd_rand& random, auto is_over) {
    while (!is_over()) {
      const int key = static_cast<int>(random() % 3);
      const auto got = flights.call(key, [&] {
        EXPECT_EQ(running[static_cast<std::size_t>(key)].fetch_add_relaxed(1), 0);
        linger(random);
        running[static_cast<std::size_t>(key)].fetch_sub_relaxed(1);
        return key * 10L;
      });
      ASSERT_EQ(got.value, key * 10L);
    }
  });
}

TEST_P(sync_stress, contexts_reach_all_below_them) {
  crowd(4, 1, [](std::minstd_rand& random, auto is_over) {
    while (!is_over()) {
      auto [root, cancel_root] =
          with_timeout(background(), std::chrono::microseconds(100 + random() % 400));
      wait_group below;
      atomic<int> functions;
      for (int i = 0; i < 4; ++i) {
        below.add(1);  // for the function
        below.go([&, root = root, i] {
          auto [child, cancel] = with_cancel(root);
          after_func(child, [&] {
            functions.fetch_add_relaxed(1);
            below.done();
          });
          if (i % 2 == 0) runtime::gosched();
          child.done().recv();
          EXPECT_TRUE(child.err());
        });
      }
      if (random() % 2 == 0) cancel_root();
      below.wait();
      ASSERT_EQ(functions.load_relaxed(), 4);
    }
  });
}

TEST_P(sync_stress, timers_fire_once_or_are_stopped) {
  crowd(6, 2, [](std::minstd_rand& random, auto is_over) {
    while (!is_over()) {
      timer one(std::chrono::microseconds(random() % 100));
      if (random() % 2 == 0) runtime::gosched();
      if (random() % 2 == 0) one.reset(std::chrono::microseconds(random() % 50));
      if (random() % 2 == 0) {
        one.stop();
        ASSERT_FALSE(one.c().try_recv().ready);
      } else {
        ASSERT_TRUE(one.c().recv().has_value());
      }
      auto pulse = ticker(20us);
      pulse.c().recv();
      pulse.stop();
    }
  });
}

TEST_P(sync_stress, select_passes_every_value_once) {
  constexpr std::size_t channels = 3;
  std::array<chan<long>, channels> ways{make_chan<long>(), make_chan<long>(1), make_chan<long>(4)};
  auto quit = make_chan<unit>();
  atomic<long> sent, received, sending;
  sending.store_relaxed(4);
  atomic<int> role;
  crowd(6, 2, [&](std::minstd_rand& random, auto is_over) {
    if (role.fetch_add_relaxed(1) % 2 == 0) {
      do {
        const long v = 1 + static_cast<long>(random() % 100);
        select(ways[0].on_send(v), ways[1].on_send(v), ways[2].on_send(v));
        sent.fetch_add_relaxed(v);
      } while (!is_over());
      if (sending.fetch_sub_acq_rel(1) == 1) quit.close();  // pairs with the other decrements
    } else {
      auto take = [&](std::optional<long> v) { received.fetch_add_relaxed(v.value()); };
      while (select(ways[0].on_recv(take), ways[1].on_recv(take), ways[2].on_recv(take),
                    quit.on_recv()) != channels) {
      }
      // What is buffered stays to be taken.
      while (select(ways[1].on_recv(take), ways[2].on_recv(take), otherwise()) != 2) {
      }
    }
  });
  EXPECT_EQ(sent.load_relaxed(), received.load_relaxed());
  EXPECT_GT(sent.load_relaxed(), 0);
}

INSTANTIATE_TEST_SUITE_P(procs, sync_stress, ::testing::Values(1, 2, 4, 8));

}  // namespace
}  // namespace gort
