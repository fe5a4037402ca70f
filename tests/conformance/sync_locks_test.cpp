// What Go's documentation promises of package sync, with goroutines and threads mixed.
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
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

TEST(mutex, excludes) {
  long count = 0;
  mutex m;
  in_all(4, [&](int) {
    for (int k = 0; k < 2000; ++k) {
      const std::lock_guard guard(m);
      const long before = count;
      if (k % 64 == 0) runtime::gosched();  // a switch inside the section
      count = before + 1;
    }
  });
  EXPECT_EQ(count, 3 * 8 * 2000);
}

TEST(mutex, misuse_and_try) {
  mutex m;
  EXPECT_EQ(message_of([&] { m.unlock(); }), "sync: unlock of unlocked mutex");
  EXPECT_TRUE(m.try_lock());
  EXPECT_FALSE(m.try_lock());
  EXPECT_FALSE(m.try_lock_for(1ms));
  m.unlock();
  EXPECT_TRUE(m.try_lock_for(1ms));
  m.unlock();
  EXPECT_EQ(message_of([&] { m.unlock(); }), "sync: unlock of unlocked mutex");
  m.lock();  // still usable
  m.unlock();
}

TEST(mutex, may_be_unlocked_by_another_goroutine) {
  with_procs(2, [] {
    mutex m;
    m.lock();
    go([&] { m.unlock(); });
    m.lock();
    m.unlock();
  });
}

TEST(mutex, a_waiter_gets_it_although_the_holder_takes_it_again_at_once) {
  for (const int procs : {1, 2, 4}) {
    with_procs(procs, [] {
      mutex m;
      bool stop = false;  // guarded by m
      wait_group hog;
      hog.go([&] {
        for (;;) {
          m.lock();
          if (stop) break;
          gort::sleep(100us);  // held across a switch: others see it locked nearly always
          m.unlock();
        }
        m.unlock();
      });
      for (int i = 0; i < 20; ++i) {
        gort::sleep(50us);
        m.lock();
        m.unlock();
      }
      m.lock();
      stop = true;
      m.unlock();
      hog.wait();
    });
  }
}

TEST(mutex, timeouts_lose_neither_the_mutex_nor_a_wake_up) {
  mutex m;
  long got = 0;
  in_all(4, [&](int i) {
    for (int k = 0; k < 200; ++k) {
      if (m.try_lock_for(std::chrono::microseconds((i * 37 + k * 11) % 300))) {
        ++got;
        if (k % 5 == 0) gort::sleep(20us);
        m.unlock();
      }
    }
  });
  EXPECT_GT(got, 0);
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

TEST(rw_mutex, readers_share_and_writers_exclude) {
  rw_mutex m;
  long value = 0;
  detail::atomic<int> inside;
  detail::atomic<int> together;
  in_all(4, [&](int i) {
    for (int k = 0; k < 500; ++k) {
      if ((i + k) % 4 == 0) {
        const std::unique_lock guard(m);
        EXPECT_EQ(inside.load_relaxed(), 0);
        const long before = value;
        if (k % 32 == 0) runtime::gosched();
        value = before + 1;
      } else {
        const std::shared_lock guard(m);
        if (inside.fetch_add_relaxed(1) > 0) together.store_relaxed(1);
        if (k % 8 == 0) runtime::gosched();
        inside.fetch_sub_relaxed(1);
      }
    }
  });
  EXPECT_EQ(value, 3 * 8 * 500 / 4);
  EXPECT_EQ(together.load_relaxed(), 1) << "readers were never in together";
}

TEST(rw_mutex, a_waiting_writer_blocks_new_readers_and_readers_get_their_turn) {
  with_procs(1, [] {
    rw_mutex m;
    m.lock_shared();
    auto order = make_chan<element>(4);
    go([&, order] {
      m.lock();
      order.send(1);
      m.unlock();
    });
    while (m.try_lock_shared()) {  // until the writer waits
      m.unlock_shared();
      runtime::gosched();
    }
    const test::arrivals since;
    go([&, order] {
      m.lock_shared();
      order.send(2);
      m.unlock_shared();
    });
    since.wait_for(1, test::wait_reason::sync_rw_mutex_rlock);
    EXPECT_FALSE(order.try_recv());
    m.unlock_shared();
    EXPECT_EQ(order.recv(), 1);
    EXPECT_EQ(order.recv(), 2);
  });
}

TEST(rw_mutex, misuse_and_try) {
  rw_mutex m;
  EXPECT_EQ(message_of([&] { m.unlock(); }), "sync: Unlock of unlocked RWMutex");
  EXPECT_EQ(message_of([&] { m.unlock_shared(); }), "sync: RUnlock of unlocked RWMutex");
  EXPECT_TRUE(m.try_lock());
  EXPECT_FALSE(m.try_lock());
  EXPECT_FALSE(m.try_lock_shared());
  m.unlock();
  EXPECT_TRUE(m.try_lock_shared());
  EXPECT_TRUE(m.try_lock_shared());
  EXPECT_FALSE(m.try_lock());
  m.unlock_shared();
  m.unlock_shared();
}

TEST(wait_group, waits_for_all_and_can_be_used_again) {
  for (const int procs : {1, 4}) {
    with_procs(procs, [] {
      wait_group group;
      for (int round = 0; round < 50; ++round) {
        detail::atomic<int> count;
        for (int i = 0; i < 20; ++i) group.go([&] { count.fetch_add_relaxed(1); });
        group.wait();
        EXPECT_EQ(count.load_relaxed(), 20);
      }
    });
  }
}

TEST(wait_group, counts_down_when_a_goroutine_ends_by_goexit) {
  run([] {
    wait_group group;
    group.go([] { runtime::goexit(); });
    group.wait();
  });
}

TEST(wait_group, misuse) {
  wait_group group;
  EXPECT_EQ(message_of([&] { group.done(); }), "sync: negative WaitGroup counter");
  group.add(2);
  EXPECT_EQ(message_of([&] { group.add(-3); }), "sync: negative WaitGroup counter");
  group.done();
  group.done();
  group.wait();
}

TEST(wait_group, many_waiters) {
  wait_group group;
  group.add(1);
  detail::atomic<int> passed;
  with_procs(2, [&] {
    wait_group waiters;
    const test::arrivals since;
    for (int i = 0; i < 10; ++i) {
      waiters.go([&] {
        group.wait();
        passed.fetch_add_relaxed(1);
      });
    }
    since.wait_for(10, test::wait_reason::sync_wait_group_wait);
    EXPECT_EQ(passed.load_relaxed(), 0);
    group.done();
    waiters.wait();
    EXPECT_EQ(passed.load_relaxed(), 10);
  });
}

TEST(once, runs_once_and_the_others_wait_for_it) {
  once first;
  int calls = 0;
  in_all(4, [&](int) {
    first.call([&] {
      gort::sleep(1ms);
      ++calls;
    });
    EXPECT_EQ(calls, 1);
  });
}

TEST(once, an_exception_counts_as_done) {
  once first;
  EXPECT_THROW(first.call([] { throw std::runtime_error("x"); }), std::runtime_error);
  first.call([] { FAIL(); });
}

TEST(cond, signal_wakes_one_and_broadcast_all) {
  with_procs(2, [] {
    mutex m;
    cond changed;
    int tokens = 0;
    int taken = 0;
    wait_group all;
    for (int i = 0; i < 10; ++i) {
      all.go([&] {
        m.lock();
        changed.wait(m, [&] { return tokens > 0; });
        --tokens;
        ++taken;
        m.unlock();
      });
    }
    for (int i = 0; i < 5; ++i) {
      m.lock();
      ++tokens;
      m.unlock();
      changed.signal();
    }
    gort::sleep(2ms);
    m.lock();
    EXPECT_LE(taken, 5);
    tokens += 5;
    m.unlock();
    changed.broadcast();
    all.wait();
    EXPECT_EQ(taken, 10);
    m.lock();
    EXPECT_FALSE(changed.wait_for(m, 1ms));
    m.unlock();
  });
}

// Its unlock() waits for something else, and whoever signals comes meanwhile.
struct lock_that_parks {
  chan<element> handed_back = make_chan<element>();
  std::atomic<int> received{0};
  void lock() noexcept {}
  void unlock() {
    runtime::gosched();
    blocking([] { std::this_thread::sleep_for(1ms); });
    received.store(handed_back.recv().value_or(-1), std::memory_order_relaxed);
  }
};

TEST(cond, a_signal_does_not_end_what_unlock_waits_for) {
  with_procs(2, [] {
    for (const bool timed : {false, true}) {
      lock_that_parks lock;
      cond changed;
      wait_group all;
      all.go([&] {
        if (timed)
          EXPECT_TRUE(changed.wait_for(lock, 1min));
        else
          changed.wait(lock);
      });
      gort::sleep(10ms);  // likely in unlock() by now; if not, there is nothing to see
      changed.signal();
      gort::sleep(1ms);
      lock.handed_back.send(7);
      while (lock.received.load(std::memory_order_relaxed) == 0) gort::sleep(1ms);
      EXPECT_EQ(lock.received.load(std::memory_order_relaxed), 7);
      changed.broadcast();
      all.wait();
    }
  });
}

}  // namespace
}  // namespace gort
