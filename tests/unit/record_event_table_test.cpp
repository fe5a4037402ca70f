// The table of events by stack: bounded, exact, and written by many at once.
#include "record/event_table.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "record/contention.hpp"
#include "record/counters.hpp"
#include "record/gate.hpp"
#include "support/seed.hpp"

namespace gort::record {
namespace {

const void* pc(std::uintptr_t n) { return reinterpret_cast<const void*>(n); }

TEST(event_table, a_key_is_the_whole_stack_and_its_tag) {
  event_table table;
  ASSERT_TRUE(table.prepare(1 << 20));
  const void* stacks[][3] = {{pc(1), pc(2), pc(3)}, {pc(1), pc(2), pc(4)}, {pc(3), pc(2), pc(1)}};
  std::set<event_table::bucket*> made;
  for (const auto& each : stacks) {
    for (const std::size_t frames : {std::size_t{2}, std::size_t{3}}) {
      for (const std::uintptr_t tag : {std::uintptr_t{0}, std::uintptr_t{1}}) {
        event_table::bucket* b = table.find_or_add({each, frames}, tag, {});
        ASSERT_NE(b, nullptr);
        made.insert(b);
        EXPECT_EQ(table.find_or_add({each, frames}, tag, {}), b);
        EXPECT_EQ(b->tag(), tag);
        EXPECT_EQ(b->frames().size(), frames);
      }
    }
  }
  EXPECT_EQ(made.size(), 10u);  // the first two are one stack where they are cut at two frames
  ASSERT_NE(table.find_or_add({}, 0, {}), nullptr);  // an empty one is one, too
  std::size_t seen = 0;
  table.for_each([&](const event_table::bucket&) { ++seen; });
  EXPECT_EQ(seen, 11u);
}

TEST(event_table, what_does_not_fit_is_lost_and_counted) {
  event_table table;
  const std::uint64_t before = sum(counter::lost_profile_samples);
  const void* frames[1] = {pc(7)};
  EXPECT_EQ(table.find_or_add(frames, 0, {}), nullptr);  // nobody has asked for memory
  EXPECT_EQ(table.lost(), 1u);
  ASSERT_TRUE(table.prepare(64 << 10));  // half of it are the chains
  std::uintptr_t kept = 0;
  for (std::uintptr_t i = 1; i <= 1000; ++i) {
    frames[0] = pc(i);
    kept += table.find_or_add(frames, 0, {}) != nullptr;
  }
  EXPECT_GT(kept, 150u);
  EXPECT_LT(kept, 700u);
  EXPECT_EQ(table.lost(), 1 + 1000 - kept);
  EXPECT_EQ(sum(counter::lost_profile_samples),
            before + table.lost());  // the metric
  frames[0] = pc(1);
  EXPECT_NE(table.find_or_add(frames, 0, {}), nullptr);  // what is there goes on
  table.clear();
  EXPECT_EQ(table.lost(), 0u);
  std::size_t seen = 0;
  table.for_each([&](const event_table::bucket&) { ++seen; });
  EXPECT_EQ(seen, 0u);
  EXPECT_NE(table.find_or_add(frames, 0, {}), nullptr);
}

// Labels: objects that come and go, of which the table holds one for each content.
struct words {
  std::uint64_t content;
  int held = 0;
  event_table::labels as_labels() {
    return {content, this, [](void* object) noexcept { ++static_cast<words*>(object)->held; }};
  }
};

TEST(event_table, labels_are_told_apart_by_content_and_held_once) {
  event_table table;
  ASSERT_TRUE(table.prepare(1 << 20));
  const void* frames[1] = {pc(1)};
  words pay{100}, pay_again{100}, buy{101};
  event_table::bucket* const paying = table.find_or_add(frames, 0, pay.as_labels());
  ASSERT_NE(paying, nullptr);
  EXPECT_EQ(table.find_or_add(frames, 0, pay_again.as_labels()), paying);
  EXPECT_EQ(table.find_or_add(frames, 0, pay.as_labels()), paying);
  event_table::bucket* const buying = table.find_or_add(frames, 0, buy.as_labels());
  EXPECT_NE(buying, paying);
  EXPECT_NE(table.find_or_add(frames, 0, {}), paying);
  EXPECT_EQ(paying->labels(), &pay);
  EXPECT_EQ(buying->labels(), &buy);
  EXPECT_EQ(pay.held, 1);
  EXPECT_EQ(pay_again.held, 0);
  EXPECT_EQ(buy.held, 1);
  EXPECT_TRUE(paying->has_same_labels(*table.find_or_add(frames, 7, pay_again.as_labels())));
  EXPECT_EQ(pay_again.held, 1);  // another bucket
}

// [events-4] of labels: stacks stay right, whatever there is in labels.
TEST(event_table, labels_without_end_take_half_of_it_and_stacks_go_on) {
  event_table table;
  ASSERT_TRUE(table.prepare(256 << 10));
  constexpr std::uint64_t sets = 20'000;
  const void* here[1] = {pc(1)};
  const void* there[1] = {pc(2)};
  for (std::uint64_t i = 0; i < sets; ++i) {
    words one{1000 + i};
    event_table::bucket* b = table.find_or_add(here, 0, one.as_labels());
    ASSERT_NE(b, nullptr) << i;
    b->add(0, 1);
    EXPECT_EQ(one.held, b->has_lost_labels() ? 0 : 1);
  }
  EXPECT_NE(table.find_or_add(there, 0, {}), nullptr);
  EXPECT_EQ(table.lost(), 0u);
  std::int64_t all = 0, without = 0;
  table.for_each([&](const event_table::bucket& b) {
    all += b.sum(0);
    if (!b.has_lost_labels()) return;
    EXPECT_EQ(b.labels(), nullptr);
    without += b.sum(0);
  });
  EXPECT_EQ(all, static_cast<std::int64_t>(sets));
  EXPECT_GT(without, static_cast<std::int64_t>(sets) / 2);
}

TEST(event_table, nothing_is_counted_twice_or_lost_when_many_write) {
  event_table table;
  ASSERT_TRUE(table.prepare(8 << 20));
  constexpr int threads = 4, events = 20'000, stacks = 300;
  std::atomic<int> running{threads};
  std::vector<std::thread> all;
  for (int t = 0; t < threads; ++t) {
    all.emplace_back([&, seed = test::seed() + static_cast<unsigned>(t)] {
      std::mt19937_64 random(seed);
      for (int i = 0; i < events; ++i) {
        const std::uintptr_t which = random() % stacks;
        const void* frames[3] = {pc(which), pc(which / 7), pc(which % 3)};
        table.find_or_add(frames, which % 2, {})->add(which % event_table::sums, 1);
      }
      running.fetch_sub(1, std::memory_order_relaxed);
    });
  }
  // A reader meanwhile: sums only grow.
  std::int64_t last = 0;
  while (running.load(std::memory_order_relaxed) != 0) {
    std::int64_t now = 0;
    table.for_each([&](const event_table::bucket& b) {
      for (std::size_t k = 0; k < event_table::sums; ++k) now += b.sum(k);
      EXPECT_EQ(b.frames().size(), 3u);
    });
    EXPECT_GE(now, last);
    last = now;
  }
  for (std::thread& each : all) each.join();
  std::map<const void*, int> buckets;
  std::int64_t total = 0;
  table.for_each([&](const event_table::bucket& b) {
    ++buckets[b.frames()[0]];
    total += b.sum(0) + b.sum(1) + b.sum(2) + b.sum(3);
  });
  EXPECT_EQ(total, std::int64_t{threads} * events);
  EXPECT_EQ(buckets.size(), static_cast<std::size_t>(stacks));
  for (const auto& [frame, count] : buckets) EXPECT_EQ(count, 1) << frame;  // [events-2]
}

// Two may switch a profile on for the first time at once: what either records then is kept.
TEST(event_table, is_made_once_whoever_else_asks_for_it) {
  constexpr std::size_t rounds = 500;
  constexpr int threads = 2;
  constexpr unsigned patience = 10'000;  // so that they come at once where they have a CPU each
  std::vector<event_table> tables(rounds);
  std::atomic<int> come{0};
  std::vector<std::thread> all;
  for (int t = 0; t < threads; ++t) {
    all.emplace_back([&, t] {
      const void* frames[1] = {pc(static_cast<std::uintptr_t>(t) + 1)};
      int round = 0;
      for (event_table& table : tables) {
        come.fetch_add(1, std::memory_order_relaxed);
        ++round;
        for (unsigned i = 0; come.load(std::memory_order_relaxed) < round * threads; ++i)
          if (i > patience) std::this_thread::yield();
        EXPECT_TRUE(table.prepare(64 << 10));
        table.find_or_add(frames, 0, {});
      }
    });
  }
  for (std::thread& each : all) each.join();
  int lost = 0;
  for (const event_table& table : tables) {
    int seen = 0;
    table.for_each([&](const event_table::bucket&) { ++seen; });
    lost += threads - seen;
  }
  EXPECT_EQ(lost, 0);
}

TEST(gate, nobody_is_in_after_it_is_closed) {
  gate door;
  EXPECT_FALSE(door.enter());
  int plain = 0;  // a race, if anybody writes it with the gate closed
  std::atomic<bool> done{false};
  std::atomic<int> entered{0};
  detail::atomic<int> one{0};
  std::vector<std::thread> all;
  for (int t = 0; t < 2; ++t) {
    all.emplace_back([&] {
      while (!done.load(std::memory_order_relaxed)) {
        if (!door.enter()) {
          std::this_thread::yield();
          continue;
        }
        if (one.exchange_acquire(1) == 0) {  // one writer at a time
          ++plain;
          entered.fetch_add(1, std::memory_order_relaxed);
          one.store_release(0);
        }
        door.leave();
      }
    });
  }
  for (int i = 0; i < 100; ++i) {
    door.open();
    const int before = entered.load(std::memory_order_relaxed);
    while (entered.load(std::memory_order_relaxed) == before) std::this_thread::yield();
    door.close();
    plain = 0;
  }
  done.store(true, std::memory_order_relaxed);
  for (std::thread& each : all) each.join();
  EXPECT_EQ(plain, 0);
}

TEST(contention, what_is_kept_stands_for_what_is_not) {
  std::mt19937_64 random(test::seed());
  constexpr int events = 200'000;
  constexpr std::int64_t rate = 1000;
  for (const std::int64_t waited_ns : {std::int64_t{50}, std::int64_t{400}, std::int64_t{1000}}) {
    double count = 0, delay_ns = 0;
    for (int i = 0; i < events; ++i) {
      const auto w = contention::of_block(rate, waited_ns, random());
      count += static_cast<double>(w.events) / contention::parts_of_one;
      delay_ns += static_cast<double>(w.delay_ns);
    }
    EXPECT_NEAR(count, events, events * 0.05);
    EXPECT_NEAR(delay_ns, events * static_cast<double>(waited_ns),
                events * static_cast<double>(waited_ns) * 0.05);
  }
  const auto longer = contention::of_block(rate, 5000, 1);
  EXPECT_EQ(longer.events, contention::parts_of_one);
  EXPECT_EQ(longer.delay_ns, 5000);
  double count = 0;
  for (int i = 0; i < events; ++i)
    count += static_cast<double>(contention::of_mutex(5, 10, random()).events) /
             contention::parts_of_one;
  EXPECT_NEAR(count, events, events * 0.05);
  EXPECT_EQ(contention::of_mutex(0, 10, 0).events, 0);
  EXPECT_EQ(contention::of_block(0, 10, 0).events, 0);
}

}  // namespace
}  // namespace gort::record
