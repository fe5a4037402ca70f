// What Go's documentation promises of x/sync and of sync.Pool, with goroutines and threads mixed.
#include <chrono>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <gort/errgroup.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "support/element.hpp"
#include "support/parked.hpp"
#include "support/parties.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using test::element;
using test::in_all;
using test::message_of;
using test::with_procs;

// Says when it goes, and takes its time.
struct held {
  detail::atomic<int>* gone;
  explicit held(detail::atomic<int>& g) : gone(&g) {}
  held(held&& other) noexcept : gone(std::exchange(other.gone, nullptr)) {}
  ~held() {
    if (gone == nullptr) return;
    for (int i = 0; i < 100; ++i) runtime::gosched();
    gone->fetch_add_release(1);  // pairs with the acquires of who has waited
  }
};

TEST(wait_group, what_functions_held_is_gone_when_wait_returns) {
  test::with_procs(2, [] {
    detail::atomic<int> gone;
    {
      wait_group all;
      all.go([h = held(gone)] { static_cast<void>(h); });
      all.go([](const held&) {}, held(gone));
      all.wait();
      EXPECT_EQ(gone.load_acquire(), 2);
    }
    errgroup group;
    group.go([h = held(gone)] { static_cast<void>(h); });
    group.wait();
    EXPECT_EQ(gone.load_acquire(), 3);
  });
}

TEST(semaphore, never_gives_out_more_than_it_has) {
  semaphore units(5);
  detail::atomic<int> held;
  in_all(3, [&](int i) {
    for (int k = 0; k < 100; ++k) {
      const int n = 1 + (i + k) % 4;
      units.acquire(n);
      EXPECT_LE(held.fetch_add_relaxed(n) + n, 5);
      if (k % 4 == 0) runtime::gosched();
      held.fetch_sub_relaxed(n);
      units.release(n);
    }
  });
}

TEST(semaphore, is_first_come_first_served) {
  with_procs(1, [] {
    semaphore units(3);
    units.acquire(2);
    auto order = make_chan<element>(4);
    const test::arrivals since;
    go([&, order] {
      units.acquire(3);
      order.send(3);
      units.release(3);
    });
    since.wait_for(1, test::wait_reason::semacquire);
    EXPECT_FALSE(units.try_acquire(1)) << "a small request must not overtake";
    units.release(2);
    EXPECT_EQ(order.recv(), 3);
  });
}

TEST(semaphore, cancellation_leaves_the_queue_in_order) {
  with_procs(2, [] {
    semaphore units(2);
    units.acquire(2);
    auto [ctx, cancel] = with_cancel(background());
    auto results = make_chan<element>(4);
    const test::arrivals since;
    go([&, ctx = ctx, results] { results.send(units.acquire(ctx, 2) ? 1 : -1); });
    since.wait_for(1, test::wait_reason::semacquire);
    go([&, results] {
      units.acquire(1);
      results.send(2);
    });
    since.wait_for(2, test::wait_reason::semacquire);
    units.release(1);
    gort::sleep(1ms);
    EXPECT_EQ(results.len(), 0u) << "the first in the queue needs two";
    cancel();
    int sum = *results.recv();
    sum += *results.recv();
    EXPECT_EQ(sum, 1) << "-1 for the cancelled one, 2 for the one behind it";
    units.release(2);
    EXPECT_EQ(message_of([&] { units.release(1); }), "semaphore: released more than held");
    EXPECT_TRUE(units.acquire(background(), 2));
    EXPECT_THROW(units.acquire(3), runtime_error);
  });
}

TEST(semaphore, cancel_and_release_race) {
  for (const int procs : {1, 4}) {
    with_procs(procs, [] {
      semaphore unit_semaphore(1);
      detail::atomic<int> holders;
      for (int i = 0; i < 200; ++i) {
        unit_semaphore.acquire();
        auto [ctx, cancel] = with_cancel(background());
        wait_group all;
        all.go([&, ctx = ctx] {
          if (unit_semaphore.acquire(ctx)) {
            EXPECT_EQ(holders.fetch_add_relaxed(1), 0);
            holders.fetch_sub_relaxed(1);
            unit_semaphore.release();
          }
        });
        runtime::gosched();
        all.go([&] { unit_semaphore.release(); });
        all.go([&cancel = cancel] { cancel(); });
        all.wait();
      }
      EXPECT_TRUE(unit_semaphore.try_acquire());
    });
  }
}

TEST(errgroup, the_first_error_wins_and_cancels) {
  run([] {
    errgroup group(background());
    group.go([&] {
      group.context().done().recv();
      throw std::runtime_error("second");
    });
    group.go([] { throw std::runtime_error("first"); });
    try {
      group.wait();
      FAIL();
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "first");
    }
    EXPECT_EQ(group.context().err(), context_error::canceled);
  });
}

TEST(errgroup, error_codes) {
  run([] {
    errgroup group;
    group.go([] { return std::error_code(); });
    group.go([] { return std::make_error_code(std::errc::timed_out); });
    std::error_code error;
    group.wait(error);
    EXPECT_EQ(error, std::errc::timed_out);
    EXPECT_THROW(group.wait(), std::system_error);
    errgroup fine;
    fine.go([] {});
    fine.wait(error);
    EXPECT_FALSE(error);
  });
}

TEST(errgroup, limits_how_many_run) {
  with_procs(4, [] {
    errgroup group;
    group.set_limit(3);
    detail::atomic<int> running;
    for (int i = 0; i < 50; ++i) {
      group.go([&] {
        EXPECT_LE(running.fetch_add_relaxed(1) + 1, 3);
        runtime::gosched();
        running.fetch_sub_relaxed(1);
      });
    }
    group.wait();
    group.set_limit(1);
    auto gate = make_chan<element>();
    EXPECT_TRUE(group.try_go([gate] { gate.recv(); }));
    EXPECT_FALSE(group.try_go([] { FAIL(); }));
    EXPECT_EQ(message_of([&] { group.set_limit(2); }),
              "errgroup: modify limit while 1 goroutines in the group are still active");
    gate.close();
    group.wait();
  });
}

TEST(single_flight, joins_calls_under_way) {
  with_procs(4, [] {
    single_flight<element, element> flights;
    detail::atomic<int> calls;
    wait_group all;
    auto gate = make_chan<element>();
    const test::arrivals since;
    for (int i = 0; i < 10; ++i) {
      all.go([&, gate] {
        const auto r = flights.call(7, [&] {
          calls.fetch_add_relaxed(1);
          gate.recv();
          return 42;
        });
        EXPECT_EQ(r.value, 42);
      });
    }
    since.wait_for(10);
    gate.close();
    all.wait();
    EXPECT_EQ(calls.load_relaxed(), 1);
    EXPECT_THROW(flights.call(8, []() -> element { throw std::runtime_error("x"); }),
                 std::runtime_error);
    EXPECT_FALSE(flights.call(8, [] { return 1; }).shared);
  });
}

TEST(sync_pool, gives_back_what_was_put) {
  int made = 0;
  sync_pool<element> pool([&] { return std::make_unique<element>(++made); });
  auto a = pool.get();
  EXPECT_EQ(*a, 1);
  pool.put(std::move(a));
  EXPECT_EQ(*pool.get(), 1);
  EXPECT_EQ(*pool.get(), 2);
  for (int i = 0; i < 1000; ++i) pool.put(std::make_unique<element>(i));  // bounded
  pool.trim();
  EXPECT_EQ(*pool.get(), 3);
  pool.put(nullptr);
}

}  // namespace
}  // namespace gort
