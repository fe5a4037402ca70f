// The scheduler under load: conservation of goroutines and wake-ups at several numbers of Ps.
#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/detail/park.hpp>

#include "base/sanitizer.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using clock = std::chrono::steady_clock;
using test::gathering;
using test::stress_seconds;
using test::with_procs;

class sched_stress : public ::testing::TestWithParam<int> {
 protected:
  clock::time_point until() const {
    return clock::now() + std::chrono::duration_cast<clock::duration>(
                              std::chrono::duration<double>(stress_seconds()));
  }
};

TEST_P(sched_stress, trees_of_goroutines) {
  with_procs(GetParam(), [&] {
    struct node {
      static long sum(int depth) {
        if (depth == 0) return 1;
        auto results = make_chan<long>();
        for (int i = 0; i < 4; ++i) go([=] { results.send(sum(depth - 1)); });
        long total = 0;
        for (int i = 0; i < 4; ++i) total += *results.recv();
        return total;
      }
    };
    const auto end = until();
    do {
      ASSERT_EQ(node::sum(base::with_tsan ? 4 : 6), base::with_tsan ? 256 : 4096);
    } while (clock::now() < end);
  });
}

// Each of n Gs is woken by exactly one other, in a ring; a token that is lost stops the ring.
TEST_P(sched_stress, park_and_ready_lose_no_wake_up) {
  with_procs(GetParam(), [&] {
    constexpr int n = 16;
    detail::atomic<detail::g*> members[n];
    detail::atomic<int> present;
    detail::atomic<int> stop;
    bool final_pass = false;  // travels with the token
    long passes = 0;          // likewise
    gathering all(n);
    for (int i = 0; i < n; ++i) {
      go([&, i] {
        members[i].store_release(detail::current_g());  // pairs with the acquires below
        present.fetch_add_acq_rel(1);
        for (;;) {
          detail::park(detail::wait_reason::semacquire);
          ++passes;
          if (i == 0 && stop.load_relaxed() != 0) final_pass = true;
          const bool last = final_pass;
          if (!last || i + 1 < n) detail::ready(members[(i + 1) % n].load_acquire());
          if (last) break;
        }
        all.done();
      });
    }
    while (present.load_acquire() != n) runtime::gosched();
    detail::ready(members[0].load_acquire());
    const auto end = until();
    while (clock::now() < end) runtime::gosched();
    stop.store_relaxed(1);
    all.wait();
    EXPECT_EQ(passes % n, 0);
  });
}

TEST_P(sched_stress, threads_and_goroutines_on_one_channel) {
  with_procs(GetParam(), [&] {
    auto c = make_chan<int>(3);
    auto sums = make_chan<long>(8);
    detail::atomic<long> sent;
    detail::atomic<int> stop;
    for (int i = 0; i < 4; ++i) {
      go([=] {
        long sum = 0;
        for (int v : c) sum += v;
        sums.send(sum);
      });
    }
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([=] {
        long sum = 0;
        for (int v : c) sum += v;
        sums.send(sum);
      });
    }
    gathering senders(4);
    auto send = [&, c](unsigned seed) {
      std::minstd_rand random(seed);
      while (stop.load_relaxed() == 0) {
        const int v = static_cast<int>(random() % 1000);
        c.send(v);
        sent.fetch_add_relaxed(v);
        if (v % 16 == 0) runtime::gosched();
      }
      senders.done();
    };
    for (unsigned i = 0; i < 2; ++i) go([&, i] { send(i + 1); });
    for (unsigned i = 0; i < 2; ++i) threads.emplace_back([&, i] { send(i + 10); });
    const auto end = until();
    while (clock::now() < end) runtime::gosched();
    stop.store_relaxed(1);
    senders.wait();
    c.close();
    long received = 0;
    for (int i = 0; i < 6; ++i) received += *sums.recv();
    for (auto& t : threads) t.join();
    EXPECT_EQ(received, sent.load_relaxed());
  });
}

INSTANTIATE_TEST_SUITE_P(procs, sched_stress, ::testing::Values(1, 2, 4, 8));

}  // namespace
}  // namespace gort
