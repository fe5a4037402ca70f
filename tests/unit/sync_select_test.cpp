// select by itself: indices, defaults, nil and closed channels, duplicates, callbacks, fairness.
#include <gort/select.hpp>

#include <array>
#include <memory>
#include <utility>

#include "support/chan_support.hpp"
#include "support/element.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;
using namespace gort::test;

TEST(SyncSelect, ReturnsTheIndexAndPassesTheValue) {
  auto a = make_chan<element>(1);
  auto b = make_chan<std::unique_ptr<int>>(1);
  b.send(std::make_unique<int>(5));
  int got = 0;
  EXPECT_EQ(select(a.on_recv([](std::optional<element>) { FAIL(); }),
                   b.on_recv([&](std::optional<std::unique_ptr<int>> v) { got = *v.value(); })),
            1u);
  EXPECT_EQ(got, 5);
  bool sent = false;
  EXPECT_EQ(select(a.on_send(3, [&] { sent = true; }), b.on_recv()), 0u);
  EXPECT_TRUE(sent);
  EXPECT_EQ(a.recv(), 3);
}

TEST(SyncSelect, OtherwiseOnlyIfNothingIsReady) {
  auto a = make_chan<element>(1);
  auto b = make_chan<element>(1);
  int defaults = 0;
  auto count = [&] { ++defaults; };
  EXPECT_EQ(select(otherwise(count), a.on_recv(), b.on_recv()), 0u);
  EXPECT_EQ(select(a.on_recv(), otherwise(count)), 1u);
  EXPECT_EQ(select(otherwise(count)), 0u);
  EXPECT_EQ(defaults, 3);
  b.send(1);
  EXPECT_EQ(select(a.on_recv(), b.on_recv(), otherwise(count)), 1u);
  a.send(1);
  b.send(1);
  EXPECT_EQ(select(a.on_send(1), b.on_send(1), otherwise(count)), 2u);
  EXPECT_EQ(defaults, 4);
}

TEST(SyncSelect, NilIsNeverReady) {
  chan<element> nil;
  auto a = make_chan<element>(1);
  EXPECT_EQ(select(nil.on_recv(), nil.on_send(1), otherwise()), 2u);
  a.send(1);
  EXPECT_EQ(select(nil.on_recv(), a.on_recv(), nil.on_send(1)), 1u);
  crew party(who::mixed);
  for (int i = 0; i < 2; ++i)
    party.start([=] { EXPECT_EQ(select(nil.on_recv(), nil.on_send(2), a.on_recv()), 2u); });
  await_receivers(a, 2);
  a.send(1);
  a.send(1);
}

TEST(SyncSelect, ClosedChannels) {
  auto a = make_chan<element>(1);
  auto full = make_chan<element>();
  a.close();
  bool empty = false;
  select(a.on_recv([&](std::optional<element> v) { empty = !v; }), full.on_send(1));
  EXPECT_TRUE(empty);
  EXPECT_EQ(what_of([&] { select(a.on_send(1), full.on_recv()); }), "send on closed channel");
  EXPECT_EQ(what_of([&] { select(a.on_send(1), otherwise()); }), "send on closed channel");

  // The same, parked.
  auto b = make_chan<element>();
  crew party(who::mixed);
  party.start([=] {
    EXPECT_EQ(what_of([&] { select(b.on_send(1), full.on_recv()); }), "send on closed channel");
  });
  await_senders(b, 1);
  b.close();
  party.join();
  auto d = make_chan<element>();
  for (int i = 0; i < 2; ++i) {
    party.start([=] {
      bool was_empty = false;
      EXPECT_EQ(
          select(full.on_recv(), d.on_recv([&](std::optional<element> v) { was_empty = !v; })), 1u);
      EXPECT_TRUE(was_empty);
    });
  }
  await_receivers(d, 2);
  d.close();
  party.join();
  EXPECT_EQ(receivers_in_line(full), 0) << "the losing waiters have left";
}

TEST(SyncSelect, OneChannelSeveralTimes) {
  auto a = make_chan<element>();
  crew party(who::mixed);
  for (int i = 0; i < 2; ++i)
    party.start([=] { EXPECT_LT(select(a.on_recv(), a.on_recv(), a.on_recv()), 3u); });
  await_receivers(a, 6);
  a.send(1);
  a.send(2);
  party.join();
  EXPECT_EQ(receivers_in_line(a), 0);
}

TEST(SyncSelect, DoesNotMeetItself) {
  auto a = make_chan<element>();
  EXPECT_EQ(select(a.on_send(1), a.on_recv(), otherwise()), 2u);
  crew party(who::goroutines);
  int chosen[2] = {};
  for (int& each : chosen) {
    party.start([a, &each] { each = static_cast<int>(select(a.on_send(1), a.on_recv())); });
  }
  party.join();  // they met each other
  EXPECT_EQ(chosen[0] + chosen[1], 1);
}

TEST(SyncSelect, CallbacksMayBlockUseTheChannelAndThrow) {
  auto a = make_chan<element>(1);
  a.send(1);
  int second = 0;
  select(a.on_recv([&](std::optional<element> v) {
    a.send(*v + 1);
    select(a.on_recv([&](std::optional<element> w) { second = w.value(); }));
    runtime::gosched();
  }));
  EXPECT_EQ(second, 2);
  a.send(1);
  EXPECT_EQ(what_of([&] { select(a.on_recv([] { throw std::runtime_error("mine"); })); }), "mine");
  a.send(3);
  EXPECT_EQ(a.recv(), 3);
}

TEST(SyncSelect, UnchosenSendKeepsNothingBack) {
  auto tracked = std::make_shared<int>(1);
  auto a = make_chan<std::shared_ptr<int>>();
  auto b = make_chan<element>(1);
  b.send(1);
  select(a.on_send(tracked), b.on_recv());
  EXPECT_EQ(tracked.use_count(), 1);
}

TEST(SyncSelect, ThrowingMoves) {
  auto a = make_chan<grenade>(1);
  auto b = make_chan<grenade>();
  EXPECT_EQ(what_of([&] { select(a.on_send(grenade{1, true, 1}), b.on_recv()); }), "boom");
  EXPECT_EQ(a.len(), 0u);
  // A parked select that a throwing send has claimed goes on waiting.
  crew party(who::goroutines);
  party.start([=] {
    int got = 0;
    select(b.on_recv([&](std::optional<grenade> v) { got = v->value; }), a.on_recv());
    EXPECT_EQ(got, 2);
  });
  await_receivers(b, 1);
  EXPECT_EQ(what_of([&] { b.send(grenade{1, true}); }), "boom");
  b.send(grenade{2});
  party.join();
  EXPECT_EQ(receivers_in_line(a), 0);
  // The other way round.
  party.start([=] {
    EXPECT_EQ(what_of([&] {
                select(b.on_send(grenade{1, true, 1}), a.on_recv());
              }),
              "send on closed channel");
  });
  await_senders(b, 1);
  EXPECT_EQ(what_of([&] { (void)b.recv(); }), "boom");
  b.close();
}

TEST(SyncSelect, Dynamic) {
  std::vector<chan<element>> all;
  for (int i = 0; i < 100; ++i) all.push_back(make_chan<element>(1));
  std::vector<std::optional<element>> into(all.size());
  std::vector<select_case> cases;
  for (std::size_t i = 0; i < all.size(); ++i) cases.push_back(select_case::recv(all[i], into[i]));
  EXPECT_EQ(select_dynamic(cases, true), cases.size());
  all[73].send(9);
  EXPECT_EQ(select_dynamic(cases), 73u);
  EXPECT_EQ(into[73], 9);
  into[73].reset();
  crew party(who::goroutines);
  party.start([c = all[20]] { c.send(4); });
  EXPECT_EQ(select_dynamic(cases), 20u);
  EXPECT_EQ(into[20], 4);
  element value = 6;
  select_case one[] = {select_case::send(all[5], value)};
  EXPECT_EQ(select_dynamic(one), 0u);
  EXPECT_EQ(all[5].recv(), 6);
  EXPECT_EQ(select_dynamic({}, true), 0u);
}

template <std::size_t... I>
std::size_t select_all(std::vector<chan<element>>& c, std::index_sequence<I...>) {
  return select(c[I].on_recv()...);
}

TEST(SyncSelect, MoreCasesThanBitsInAWord) {
  constexpr std::size_t many = 70;
  std::vector<chan<element>> all;
  for (std::size_t i = 0; i < many; ++i) all.push_back(make_chan<element>(1));
  all[68].send(1);
  EXPECT_EQ(select_all(all, std::make_index_sequence<many>{}), 68u);
}

// Pearson's statistic of counts that should be equal.
double chi_square(const std::vector<int>& counts) {
  double total = 0;
  for (int c : counts) total += c;
  const double expected = total / static_cast<double>(counts.size());
  double sum = 0;
  for (int c : counts) sum += (c - expected) * (c - expected) / expected;
  return sum;
}

constexpr int fairness_rounds = 40000;
// Chance of a fair select failing, with 3 degrees of freedom: below 1e-6.
constexpr double chi_square_bound = 31;

TEST(SyncSelect, ChoosesEvenlyAmongTheReady) {
  std::array<chan<element>, 4> ready;
  for (auto& c : ready) {
    c = make_chan<element>(1);
    c.close();
  }
  auto never = make_chan<element>();
  std::vector<int> counts(4);
  for (int i = 0; i < fairness_rounds; ++i) {
    // Gaps between the ready ones: a rotation would favor the case after a gap.
    const std::size_t index =
        select(never.on_recv(), ready[0].on_recv(), never.on_send(1), never.on_send(1),
               ready[1].on_recv(), ready[2].on_recv(), ready[3].on_recv(), never.on_recv());
    const std::size_t place[] = {9, 0, 9, 9, 1, 2, 3, 9};
    ++counts.at(place[index]);
  }
  EXPECT_LT(chi_square(counts), chi_square_bound);
}

TEST(SyncSelect, DynamicChoosesEvenlyAmongTheReady) {
  std::array<chan<element>, 6> all;
  for (auto& c : all) c = make_chan<element>();
  for (const std::size_t i : {0u, 1u, 3u, 5u}) all[i].close();
  std::vector<int> counts(4);
  for (int i = 0; i < fairness_rounds; ++i) {
    std::optional<element> into;
    std::vector<select_case> cases;
    for (auto& c : all) cases.push_back(select_case::recv(c, into));
    const std::size_t place[] = {0, 1, 9, 2, 9, 3};
    ++counts.at(place[select_dynamic(cases)]);
  }
  EXPECT_LT(chi_square(counts), chi_square_bound);
}

// The program of the Go specification's section on select: the cases of one channel that wait in
// its line are as even as those that are ready.
TEST(SyncSelect, CasesOfOneChannelThatWaitAreEven) {
  with_procs(1, [] {
    constexpr int n = 1000;
    constexpr int least = n / 4;  // 16 standard deviations away
    auto c = make_chan<element>();
    go([c] {
      for (int i = 0; i < n; ++i) select(c.on_send(0), c.on_send(1));
    });
    int ones = 0;
    for (int i = 0; i < n; ++i) {
      runtime::gosched();  // the select waits before we come
      ones += *c.recv();
    }
    EXPECT_GT(ones, least);
    EXPECT_LT(ones, n - least);
    int first = 0;
    go([c, &first] {
      auto other = make_chan<element>();
      for (int i = 0; i < n; ++i) select(other.on_recv(), c.on_recv([&] { ++first; }), c.on_recv());
      c.close();
    });
    for (int i = 0; i < n; ++i) {
      runtime::gosched();
      c.send(i);
    }
    c.recv();
    EXPECT_GT(first, least);
    EXPECT_LT(first, n - least);
  });
}

}  // namespace
