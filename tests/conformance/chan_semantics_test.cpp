// What Go's documentation promises of channels, with goroutines, threads and both as parties.
#include <gort/chan.hpp>

#include <algorithm>
#include <array>
#include <numeric>

#include "support/chan_support.hpp"
#include "support/element.hpp"

namespace {

using namespace gort;
using namespace gort::test;
using namespace std::chrono_literals;

class ChanSemantics : public with_parties {};
INSTANTIATE_TEST_SUITE_P(All, ChanSemantics, all_settings(), setting_name);

// "A receive from an unbuffered channel is synchronized before the completion of the corresponding
// send on that channel": plain variables on both sides; ThreadSanitizer checks it too.
TEST_P(ChanSemantics, UnbufferedOrdersBothWays) {
  constexpr int rounds = 2000;
  auto c = make_chan<unit>();
  int written_by_sender = 0;
  int written_by_receiver = 0;
  crew party(kind());
  party.start([&] {
    for (int i = 1; i <= rounds; ++i) {
      written_by_sender = i;
      c.send({});
      ASSERT_EQ(written_by_receiver, i);
      c.send({});
    }
  });
  party.start([&] {
    for (int i = 1; i <= rounds; ++i) {
      written_by_receiver = i;
      (void)c.recv();
      ASSERT_EQ(written_by_sender, i);
      (void)c.recv();
    }
  });
}

// "The kth receive on a channel with capacity C is synchronized before the completion of the k+Cth
// send": a channel as a counting semaphore.
TEST_P(ChanSemantics, CapacityBoundsConcurrency) {
  constexpr int limit = 3;
  constexpr int parties = 8;
  auto permits = make_chan<unit>(limit);
  detail::atomic<int> inside;
  detail::atomic<int> most;
  {
    crew party(kind());
    for (int p = 0; p < parties; ++p) {
      party.start([&] {
        for (int i = 0; i < 200; ++i) {
          permits.send({});
          const int now = inside.fetch_add_acq_rel(1) + 1;
          int seen = most.load_relaxed();
          while (now > seen && !most.cas_relaxed(seen, now)) {
          }
          if (i % 10 == 0) runtime::gosched();
          inside.fetch_sub_acq_rel(1);
          (void)permits.recv();
        }
      });
    }
  }
  EXPECT_LE(most.load_relaxed(), limit);
  EXPECT_EQ(permits.len(), 0u);
}

TEST_P(ChanSemantics, ElementsArriveOnceAndInOrder) {
  constexpr int producers = 4;
  constexpr int consumers = 4;
  constexpr int each = 3000;
  for (const int capacity : {0, 1, 7, 128}) {
    auto c = make_chan<element>(capacity);
    std::array<std::vector<int>, consumers> got;
    {
      crew consuming(kind());
      for (auto& mine : got) {
        consuming.start([c, &mine] {
          for (int v : c) mine.push_back(v);
        });
      }
      {
        crew producing(kind());
        for (int p = 0; p < producers; ++p) {
          producing.start([=] {
            for (int i = 0; i < each; ++i) c.send(p * each + i);
          });
        }
      }
      c.close();
    }
    std::vector<int> all;
    for (const auto& mine : got) {
      // What one consumer got from one producer is in the producer's order.
      std::array<int, producers> last;
      last.fill(-1);
      for (const int v : mine) {
        int& previous = last[static_cast<std::size_t>(v / each)];
        ASSERT_LT(previous, v);
        previous = v;
      }
      all.insert(all.end(), mine.begin(), mine.end());
    }
    std::sort(all.begin(), all.end());
    std::vector<int> expected(producers * each);
    std::iota(expected.begin(), expected.end(), 0);
    ASSERT_EQ(all, expected) << "capacity " << capacity;
  }
}

TEST_P(ChanSemantics, WaitingReceiversAreServedInOrder) {
  constexpr int parties = 6;
  auto c = make_chan<element>();
  std::array<int, parties> got{};
  crew party(kind());
  for (int i = 0; i < parties; ++i) {
    party.start([c, &mine = got[static_cast<std::size_t>(i)]] { mine = c.recv().value(); });
    await_receivers(c, i + 1);
  }
  for (int i = 0; i < parties; ++i) c.send(i + 1);
  party.join();
  for (int i = 0; i < parties; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], i + 1);
}

TEST_P(ChanSemantics, WaitingSendersAreServedInOrder) {
  constexpr int parties = 6;
  for (const int capacity : {0, 2}) {
    auto c = make_chan<element>(capacity);
    crew party(kind());
    for (int i = 0; i < parties; ++i) {
      party.start([=] { c.send(int{i}); });
      if (i < capacity)
        while (c.len() != static_cast<std::size_t>(i + 1)) std::this_thread::yield();
      else
        await_senders(c, i + 1 - capacity);
    }
    for (int i = 0; i < parties; ++i) EXPECT_EQ(c.recv(), i);
  }
}

TEST_P(ChanSemantics, CloseWakesAllReceivers) {
  constexpr int parties = 8;
  auto c = make_chan<element>(4);
  int before_close = 0;
  crew party(kind());
  for (int i = 0; i < parties; ++i) {
    party.start([&] {
      EXPECT_EQ(c.recv(), std::nullopt);
      EXPECT_EQ(before_close, 1) << "closing comes before a receive that finds it";
    });
  }
  await_receivers(c, parties);
  before_close = 1;
  c.close();
}

TEST_P(ChanSemantics, CloseMakesAllSendersThrow) {
  constexpr int parties = 8;
  for (const int capacity : {0, 3}) {
    auto c = make_chan<element>(capacity);
    for (int i = 0; i < capacity; ++i) c.send(int{i});
    crew party(kind());
    for (int i = 0; i < parties; ++i) {
      party.start([c] { EXPECT_EQ(what_of([&] { c.send(100); }), "send on closed channel"); });
    }
    await_senders(c, parties);
    c.close();
    party.join();
    for (int i = 0; i < capacity; ++i) EXPECT_EQ(c.recv(), i);
    EXPECT_EQ(c.recv(), std::nullopt) << "no element of a sender that threw";
  }
}

// Sends that race with close either arrive or throw.
TEST_P(ChanSemantics, CloseRacingWithSendsLosesNothing) {
  constexpr int parties = 4;
  for (int round = 0; round < 100; ++round) {
    auto c = make_chan<element>(round % 3);
    detail::atomic<int> sent;
    int received = 0;
    {
      crew party(kind());
      for (int p = 0; p < parties; ++p) {
        party.start([&] {
          try {
            for (;;) {
              c.send(1);
              sent.fetch_add_relaxed(1);
            }
          } catch (const runtime_error&) {
          }
        });
      }
      party.start([&] {
        for (int i = 0; i < 20; ++i) received += c.recv().value();
        c.close();
        for (int v : c) received += v;
      });
    }
    ASSERT_EQ(received, sent.load_relaxed());
  }
}

// A timed operation that races with its peer either takes place or leaves no trace.
TEST_P(ChanSemantics, TimeoutsLoseNothing) {
  constexpr int parties = 3;
  constexpr int tries = 1000;
  for (const int capacity : {0, 1}) {
    auto c = make_chan<element>(capacity);
    detail::atomic<int> sent;
    detail::atomic<int> received;
    {
      crew receiving(kind());
      for (int p = 0; p < parties; ++p) {
        receiving.start([&, p] {
          for (;;) {
            auto r = c.recv_for(std::chrono::microseconds(3 * p));
            if (r.closed()) return;
            if (r) received.fetch_add_relaxed(*r);
            if (!r) runtime::gosched();
          }
        });
      }
      crew sending(kind());
      for (int p = 0; p < parties; ++p) {
        sending.start([&] {
          // Until one has been received, at least: the receivers may have no CPU for so long.
          for (int i = 0; i < tries || sent.load_relaxed() == 0; ++i) {
            if (c.send_for(1, std::chrono::microseconds(i % 40))) sent.fetch_add_relaxed(1);
          }
        });
      }
      sending.join();
      c.close();
    }
    EXPECT_EQ(received.load_relaxed(), sent.load_relaxed());
  }
}

// try_recv's look without the lock sees what happened before it. As often as there is time for:
// where a thread that looks again and again keeps its peer from the CPU, a round takes slices.
TEST_P(ChanSemantics, TryReceiveSeesWhatHappenedBefore) {
  constexpr int over = 0, rounds_max = 2000;
  const auto end = std::chrono::steady_clock::now() + 3s;
  auto data = make_chan<element>(1);
  detail::atomic<int> flag(-1);
  const auto look_again = [] {
    runtime::gosched();
    std::this_thread::yield();  // the other one may be a plain thread
  };
  crew party(kind());
  party.start([&] {
    for (int i = 1; i == 1 || (i <= rounds_max && std::chrono::steady_clock::now() < end); ++i) {
      data.send(int{i});
      flag.store_release(i);                           // pairs with the acquire below
      while (flag.load_acquire() != -i) look_again();  // pairs with the release below
    }
    flag.store_release(over);
  });
  party.start([&] {
    for (int i = 1;; ++i) {
      int seen;
      while ((seen = flag.load_acquire()) != i && seen != over) look_again();  // as above
      if (seen == over) return;
      auto r = data.try_recv();
      ASSERT_TRUE(r);
      ASSERT_EQ(*r, i);
      flag.store_release(-i);  // pairs with the acquire above
    }
  });
  party.join();
}

}  // namespace
