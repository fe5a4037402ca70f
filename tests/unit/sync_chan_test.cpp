// chan<T> by itself: handles, sizes, element types, misuse, the operations that do not wait, the
// timed ones, moves that throw.
#include <gort/chan.hpp>

#include <cstdint>
#include <memory>
#include <string>

#include "support/chan_support.hpp"
#include "support/element.hpp"

namespace {

using namespace gort;
using namespace gort::test;
using namespace std::chrono_literals;

constexpr auto long_time = 60s;  // a bound on hangs, not a measurement

TEST(SyncChan, HandlesAreCountedAndComparable) {
  auto tracked = std::make_shared<int>(1);
  {
    auto a = make_chan<std::shared_ptr<int>>(2);
    auto b = a;
    EXPECT_EQ(a, b);
    EXPECT_NE(a, make_chan<std::shared_ptr<int>>(2));
    EXPECT_NE(a, chan<std::shared_ptr<int>>{});
    EXPECT_EQ(chan<element>{}, chan<element>{});
    b.send(tracked);
    a.send(tracked);
    EXPECT_EQ(tracked.use_count(), 3);
    a = {};
    EXPECT_FALSE(a);
    EXPECT_EQ(b.len(), 2u);
    const auto& same = b;
    b = same;
    EXPECT_EQ(tracked.use_count(), 3);
  }
  EXPECT_EQ(tracked.use_count(), 1) << "elements left behind are destroyed with the channel";
}

TEST(SyncChan, RingWrapsAndKeepsOrder) {
  auto c = make_chan<element>(3);
  int next = 0;
  for (int i = 0; i < 20; ++i) {
    while (c.try_send(int{next})) ++next;
    EXPECT_EQ(c.len(), 3u);
    EXPECT_EQ(c.cap(), 3u);
    EXPECT_EQ(c.recv(), next - 3);
    EXPECT_EQ(*c.try_recv(), next - 2);
  }
}

TEST(SyncChan, NilChannel) {
  chan<element> nil;
  EXPECT_FALSE(nil);
  EXPECT_EQ(nil.len(), 0u);
  EXPECT_EQ(nil.cap(), 0u);
  EXPECT_FALSE(nil.try_send(1));
  const auto r = nil.try_recv();
  EXPECT_FALSE(r.ready);
  EXPECT_FALSE(nil.send_for(1, 1ms));
  EXPECT_FALSE(nil.recv_for(1ms).ready);
  EXPECT_EQ(what_of([&] { nil.close(); }), "close of nil channel");
}

TEST(SyncChan, ClosedChannel) {
  auto c = make_chan<element>(2);
  c.send(1);
  c.send(2);
  c.close();
  EXPECT_EQ(what_of([&] { c.close(); }), "close of closed channel");
  EXPECT_EQ(what_of([&] { c.send(3); }), "send on closed channel");
  EXPECT_EQ(what_of([&] { (void)c.try_send(3); }), "send on closed channel");
  EXPECT_EQ(what_of([&] { (void)c.send_for(3, 1ms); }), "send on closed channel");
  EXPECT_THROW(c.send(3), runtime_error);
  EXPECT_EQ(c.recv(), 1);
  EXPECT_FALSE(c.try_recv().closed()) << "not before it is drained";
  EXPECT_EQ(c.recv(), std::nullopt);
  EXPECT_TRUE(c.try_recv().closed());
  EXPECT_TRUE(c.recv_for(long_time).closed());
}

TEST(SyncChan, TryDistinguishesEmptyClosedAndValue) {
  auto c = make_chan<element>(1);
  EXPECT_FALSE(c.try_recv().ready);
  EXPECT_FALSE(c.try_recv().closed());
  EXPECT_THROW(*c.try_recv(), std::bad_optional_access);
  EXPECT_TRUE(c.try_send(0));
  EXPECT_FALSE(c.try_send(1));
  auto got = c.try_recv();
  EXPECT_TRUE(got && got.ready && !got.closed());
  EXPECT_EQ(*got, 0);
  auto unbuffered = make_chan<element>();
  EXPECT_FALSE(unbuffered.try_send(1));
  EXPECT_FALSE(unbuffered.try_recv().ready);
}

TEST(SyncChan, SizeOutOfRange) {
  const char* text = "makechan: size out of range";
  EXPECT_EQ(what_of([] { make_chan<element>(-1); }), text);
  EXPECT_EQ(what_of([] { make_chan<char>(std::int64_t{1} << 32); }), text);
  struct big {
    char bytes[1 << 20];
  };
  EXPECT_EQ(what_of([] { make_chan<big>((std::int64_t{1} << 32) - 1); }), text);
  EXPECT_EQ(what_of([] { make_chan<element>(INT64_MIN); }), text);
}

TEST(SyncChan, AwkwardElementTypes) {
  auto move_only = make_chan<std::unique_ptr<int>>(1);
  move_only.send(std::make_unique<int>(7));
  EXPECT_EQ(**move_only.recv(), 7);

  struct alignas(256) wide {
    int v;
  };
  auto over_aligned = make_chan<wide>(3);
  for (int i = 0; i < 3; ++i) over_aligned.send(wide{i});
  for (int i = 0; i < 3; ++i) {
    auto w = over_aligned.recv();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&*w) % 256, 0u);
    EXPECT_EQ(w->v, i);
  }

  struct no_default {
    explicit no_default(int x) : v(x) {}
    no_default(no_default&&) noexcept = default;
    no_default& operator=(no_default&&) = delete;
    const int v;
  };
  auto awkward = make_chan<no_default>(2);
  awkward.send(no_default{5});
  awkward.send(no_default{6});
  awkward.close();
  int sum = 0;
  for (auto& each : awkward) sum += each.v;
  EXPECT_EQ(sum, 11);

  auto signal = make_chan<unit>(1);
  signal.send({});
  EXPECT_EQ(signal.recv(), unit{});

  auto nested = make_chan<std::optional<element>>(1);
  nested.send(std::nullopt);
  auto got = nested.recv();
  ASSERT_TRUE(got.has_value());
  EXPECT_FALSE(got->has_value());

  auto channels = make_chan<chan<element>>(1);
  channels.send(make_chan<element>(4));
  EXPECT_EQ(channels.recv()->cap(), 4u);
}

TEST(SyncChan, ElementsAreConstructedAndDestroyedInPairs) {
  {
    auto c = make_chan<grenade>(2);
    c.send(grenade{1});
    c.send(grenade{2});
    EXPECT_EQ(c.recv()->value, 1);
    c.send(grenade{3});
    EXPECT_EQ(c.recv()->value, 2);
    EXPECT_EQ(grenade::alive.load_relaxed(), 1);
  }
  EXPECT_EQ(grenade::alive.load_relaxed(), 0);
}

TEST(SyncChan, DirectionalViews) {
  auto c = make_chan<element>(2);
  chan<element>::sender in = c;
  chan<element>::receiver out = c;
  static_assert(std::is_convertible_v<chan<element>, chan<element>::sender>);
  static_assert(!std::is_convertible_v<chan<element>::sender, chan<element>>);
  static_assert(!std::is_convertible_v<chan<element>::sender, chan<element>::receiver>);
  EXPECT_EQ(in, c);
  EXPECT_EQ(out, c);
  c = {};
  in.send(1);
  EXPECT_TRUE(in.try_send(2));
  EXPECT_EQ(out.len(), 2u);
  in.close();
  int sum = 0;
  for (int v : out) sum += v;
  EXPECT_EQ(sum, 3);
  EXPECT_FALSE(chan<element>::sender{});
}

TEST(SyncChan, FailedSendLeavesTheValue) {
  auto c = make_chan<std::unique_ptr<int>>(1);
  c.send(std::make_unique<int>(1));
  auto mine = std::make_unique<int>(2);
  EXPECT_FALSE(c.try_send(std::move(mine)));
  ASSERT_NE(mine, nullptr);
  EXPECT_FALSE(c.send_for(std::move(mine), 1ms));
  ASSERT_NE(mine, nullptr);
  c.close();
  EXPECT_THROW(c.send(std::move(mine)), runtime_error);
  ASSERT_NE(mine, nullptr);
}

TEST(SyncChan, CloseWhileASenderWaitsLeavesTheValue) {
  auto c = make_chan<std::unique_ptr<int>>();
  crew party(who::mixed);
  for (int i = 0; i < 2; ++i) {
    party.start([c] {
      auto mine = std::make_unique<int>(3);
      EXPECT_EQ(what_of([&] { c.send(std::move(mine)); }), "send on closed channel");
      EXPECT_NE(mine, nullptr);
    });
  }
  await_senders(c, 2);
  c.close();
}

// ---------------------------------------------------------------------------------------- timed

TEST(SyncChan, TimedOperationsTimeOut) {
  auto c = make_chan<element>();
  EXPECT_FALSE(c.recv_for(2ms).ready);
  EXPECT_FALSE(c.send_for(1, 2ms));
  EXPECT_FALSE(c.recv_for(-1s).ready);
  EXPECT_FALSE(c.recv_until(std::chrono::steady_clock::now() + 2ms).ready);
  EXPECT_FALSE(c.recv_until(std::chrono::system_clock::now() + 2ms).ready);
  EXPECT_FALSE(c.send_until(1, std::chrono::steady_clock::time_point::min()));
  const auto before = std::chrono::steady_clock::now();
  EXPECT_FALSE(c.recv_for(5ms).ready);
  EXPECT_GE(std::chrono::steady_clock::now() - before, 5ms) << "never early";
  EXPECT_EQ(receivers_in_line(c), 0);
  EXPECT_EQ(senders_in_line(c), 0);
}

TEST(SyncChan, TimedOperationsThatArePossibleIgnoreTheTime) {
  auto c = make_chan<element>(1);
  EXPECT_TRUE(c.send_for(4, -1s));
  EXPECT_EQ(*c.recv_for(0s), 4);
  EXPECT_TRUE(c.send_until(5, std::chrono::steady_clock::time_point::max()));
  EXPECT_EQ(*c.recv_until(std::chrono::system_clock::time_point::max()), 5);
  EXPECT_TRUE(c.send_for(6, std::chrono::hours::max()));
  EXPECT_EQ(*c.recv_for(std::chrono::duration<double>::max()), 6);
}

TEST(SyncChan, TimedOperationsMeetTheirPeers) {
  auto c = make_chan<element>();
  crew party(who::goroutines);
  party.start([c] { EXPECT_TRUE(c.send_for(8, std::chrono::hours::max())); });
  EXPECT_EQ(*c.recv_for(long_time), 8);
  party.start([c] { EXPECT_EQ(*c.recv_for(long_time), 9); });
  await_receivers(c, 1);
  EXPECT_TRUE(c.send_for(9, long_time));
  party.start([c] { EXPECT_TRUE(c.recv_for(long_time).closed()); });
  await_receivers(c, 1);
  c.close();
}

// ---------------------------------------------------------------------------------- throwing moves

TEST(SyncChan, ThrowingMoveIntoTheBuffer) {
  auto c = make_chan<grenade>(2);
  EXPECT_EQ(what_of([&] { c.send(grenade{1, true}); }), "boom");
  EXPECT_EQ(c.len(), 0u);
  c.send(grenade{2});
  EXPECT_EQ(c.recv()->value, 2);
}

TEST(SyncChan, ThrowingMoveOutOfTheBufferLeavesItThere) {
  auto c = make_chan<grenade>(2);
  c.send(grenade{1, true, 1});  // survives the move in
  c.send(grenade{2});
  EXPECT_EQ(what_of([&] { (void)c.recv(); }), "boom");
  EXPECT_EQ(what_of([&] { (void)c.try_recv(); }), "boom");
  EXPECT_EQ(c.len(), 2u);
}

TEST(SyncChan, ThrowingMoveToAParkedReceiverLeavesItParked) {
  for (const bool timed : {false, true}) {
    auto c = make_chan<grenade>();
    crew party(who::goroutines);
    party.start([=] {
      if (timed)
        EXPECT_EQ(c.recv_for(long_time)->value, 2);
      else
        EXPECT_EQ(c.recv()->value, 2);
    });
    await_receivers(c, 1);
    EXPECT_EQ(what_of([&] { c.send(grenade{1, true}); }), "boom");
    if (!timed) {
      EXPECT_EQ(receivers_in_line(c), 1);
    }
    c.send(grenade{2});
  }
  EXPECT_EQ(grenade::alive.load_relaxed(), 0);
}

TEST(SyncChan, ThrowingMoveFromAParkedSenderLeavesItParked) {
  auto c = make_chan<grenade>();
  crew party(who::goroutines);
  party.start([=] {
    EXPECT_EQ(what_of([&] { c.send(grenade{1, true}); }), "send on closed channel");
  });
  await_senders(c, 1);
  EXPECT_EQ(what_of([&] { (void)c.recv(); }), "boom");
  EXPECT_EQ(senders_in_line(c), 1);
  c.close();
}

TEST(SyncChan, ThrowingRefillIsTheSendersAndTheNextSenderGetsThePlace) {
  auto c = make_chan<grenade>(1);
  c.send(grenade{1});
  crew party(who::goroutines);
  party.start([=] { EXPECT_EQ(what_of([&] { c.send(grenade{2, true}); }), "boom"); });
  await_senders(c, 1);
  party.start([=] { c.send(grenade{3}); });
  await_senders(c, 2);
  EXPECT_EQ(c.recv()->value, 1);
  await_senders(c, 1);  // the second sender got the place, the first waits for the next one
  EXPECT_EQ(c.len(), 1u);
  EXPECT_EQ(c.recv()->value, 3);
  party.join();
  EXPECT_EQ(c.len(), 0u);
}

}  // namespace
