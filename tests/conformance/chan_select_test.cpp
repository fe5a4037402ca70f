// What Go's documentation promises of select, with goroutines, threads and both as parties.
#include <gort/select.hpp>

#include <array>

#include "support/chan_support.hpp"
#include "support/element.hpp"

namespace {

using namespace gort;
using namespace gort::test;

class ChanSelect : public with_parties {};
INSTANTIATE_TEST_SUITE_P(All, ChanSelect, all_settings(), setting_name);

// Selects that send meet selects that receive, on several channels in different orders.
TEST_P(ChanSelect, SelectsMeetSelectsAndLoseNothing) {
  constexpr int parties = 3;
  constexpr int rounds = 2000;
  for (const int capacity : {0, 1, 3}) {
    std::array<chan<element>, 3> c;
    for (auto& each : c) each = make_chan<element>(capacity);
    auto done = make_chan<unit>();
    detail::atomic<std::int64_t> sent;
    detail::atomic<std::int64_t> received;
    {
      crew receiving(kind());
      for (int p = 0; p < parties; ++p) {
        receiving.start([&, p] {
          auto take = [&](std::optional<element> v) { received.fetch_add_relaxed(v.value()); };
          const auto at = [&](int i) -> chan<element>& {
            return c[static_cast<std::size_t>(i % 3)];
          };
          while (select(at(p).on_recv(take), at(p + 1).on_recv(take), at(p + 2).on_recv(take),
                        done.on_recv()) != 3) {
          }
        });
      }
      crew sending(kind());
      for (int p = 0; p < parties; ++p) {
        sending.start([&, p] {
          for (int i = 0; i < rounds; ++i) {
            const int v = p * rounds + i;
            select(c[2].on_send(v), c[0].on_send(v), c[1].on_send(v), c[0].on_send(v));
            sent.fetch_add_relaxed(v);
          }
        });
      }
      sending.join();
      for (auto& each : c)  // drain: `done` must not be chosen before the last element
        while (each.len() != 0) std::this_thread::yield();
      done.close();
    }
    EXPECT_EQ(received.load_relaxed(), sent.load_relaxed()) << "capacity " << capacity;
    for (auto& each : c) {
      EXPECT_EQ(receivers_in_line(each), 0);
      EXPECT_EQ(senders_in_line(each), 0);
    }
  }
}

// Everybody sends and receives in one select, on the same channel: each send has one receive.
TEST_P(ChanSelect, SendAndReceiveOnOneChannel) {
  constexpr int parties = 4;
  constexpr int rounds = 1500;
  auto c = make_chan<element>();
  auto done = make_chan<unit>();
  detail::atomic<int> sent;
  detail::atomic<int> received;
  detail::atomic<int> working(parties);
  crew party(kind());
  for (int p = 0; p < parties; ++p) {
    party.start([&] {
      for (int i = 0; i < rounds; ++i) {
        const std::size_t index = select(c.on_recv(), c.on_send(1), done.on_recv());
        if (index == 2) break;
        (index == 0 ? received : sent).fetch_add_relaxed(1);
      }
      if (working.fetch_sub_acq_rel(1) == 2) done.close();  // one is left without a partner
    });
  }
  party.join();
  EXPECT_EQ(sent.load_relaxed(), received.load_relaxed());
}

// `otherwise` needs a moment at which nothing is ready. Here there is none: a token goes to the
// second channel before one leaves the first.
TEST_P(ChanSelect, OtherwiseOnlyIfThereWasAMomentWithNothingReady) {
  auto a = make_chan<element>(2);
  auto b = make_chan<element>(2);
  auto never = make_chan<element>();
  a.send(1);
  detail::atomic<int> stop;
  crew party(kind());
  party.start([&] {
    while (stop.load_relaxed() == 0) {
      b.send(1);
      (void)a.recv();
      a.send(1);
      (void)b.recv();
      if (kind() != who::threads) runtime::gosched();
    }
  });
  party.start([&] {
    for (int i = 0; i < 20000; ++i) {
      // The cases between make the two looks at a and b lie further apart.
      const std::size_t index =
          select(a.on_recv(), never.on_recv(), never.on_recv(), never.on_recv(), never.on_recv(),
                 never.on_recv(), never.on_recv(), never.on_recv(), never.on_recv(),
                 never.on_recv(), never.on_recv(), b.on_recv(), otherwise());
      ASSERT_NE(index, 12u);
      (index == 0 ? a : b).send(1);
    }
    stop.store_relaxed(1);
  });
}

TEST_P(ChanSelect, CloseRacingWithSelect) {
  constexpr int parties = 3;
  for (int round = 0; round < 300; ++round) {
    auto a = make_chan<element>();
    auto b = make_chan<element>();
    detail::atomic<int> sent;
    detail::atomic<int> received;
    crew party(kind());
    for (int p = 0; p < parties; ++p) {
      party.start([&] {
        for (bool open = true; open;) {
          auto take = [&](std::optional<element> v) {
            open = v.has_value();
            received.fetch_add_relaxed(v.value_or(0));
          };
          select(a.on_recv(take), b.on_recv(take));
        }
      });
      party.start([&] {
        try {
          for (;;) {
            select(b.on_send(1), a.on_send(1));
            sent.fetch_add_relaxed(1);
          }
        } catch (const runtime_error& e) {
          EXPECT_STREQ(e.what(), "send on closed channel");
        }
      });
    }
    party.start([&] {
      for (int i = 0; i < round % 7; ++i) runtime::gosched();
      a.close();
    });
    // A receiver leaves when it chooses the closed channel, a sender when it sends to it.
    party.join();
    ASSERT_EQ(sent.load_relaxed(), received.load_relaxed());
  }
}

// A parked select is in line like everybody else: first come, first served.
TEST_P(ChanSelect, ParkedSelectsAreServedInOrder) {
  constexpr int parties = 5;
  auto c = make_chan<element>();
  auto other = make_chan<element>();
  std::array<int, parties> got{};
  crew party(kind());
  for (int i = 0; i < parties; ++i) {
    party.start([=, &mine = got[static_cast<std::size_t>(i)]] {
      auto take = [&](std::optional<element> v) { mine = v.value(); };
      if (i % 2 == 0)
        select(other.on_recv(), c.on_recv(take));
      else
        take(c.recv());
    });
    await_receivers(c, i + 1);
  }
  for (int i = 0; i < parties; ++i) c.send(i + 1);
  party.join();
  for (int i = 0; i < parties; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], i + 1);
  EXPECT_EQ(receivers_in_line(other), 0);
}

// With both always ready neither side is starved, whoever runs.
TEST_P(ChanSelect, IsFairUnderLoad) {
  auto a = make_chan<element>(1);
  auto b = make_chan<element>(1);
  std::array<int, 2> counts{};
  constexpr int rounds = 20000;
  a.send(1);
  b.send(1);
  crew party(kind());
  party.start([&] {
    for (int i = 0; i < rounds; ++i) {
      const std::size_t index = select(a.on_recv(), b.on_recv());
      ++counts[index];
      (index == 0 ? a : b).send(1);
    }
  });
  party.join();
  // Ten standard deviations of a fair coin.
  EXPECT_NEAR(counts[0], rounds / 2, 10 * 71);
}

// Go's pipeline: a ring of goroutines that pass tokens on with selects against a quit channel.
TEST_P(ChanSelect, RingWithQuit) {
  constexpr int members = 10;
  constexpr int laps = 300;
  std::array<chan<element>, members> ring;
  for (auto& c : ring) c = make_chan<element>();
  auto quit = make_chan<unit>();
  crew party(kind());
  for (int i = 0; i < members; ++i) {
    party.start([&, i] {
      auto& in = ring[static_cast<std::size_t>(i)];
      auto& out = ring[static_cast<std::size_t>((i + 1) % members)];
      for (;;) {
        int token = 0;
        if (select(in.on_recv([&](std::optional<element> v) { token = v.value(); }),
                   quit.on_recv()) == 1)
          return;
        if (token == members * laps) {
          quit.close();
          return;
        }
        if (select(out.on_send(token + 1), quit.on_recv()) == 1) return;
      }
    });
  }
  ring[0].send(1);
}

}  // namespace
