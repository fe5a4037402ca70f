#include "record/counters.hpp"
#include "record/trace_lane.hpp"

#include <array>
#include <map>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "record/bounded_queue.hpp"
#include "record/stack_table.hpp"

namespace gort {
namespace {

using namespace record;

struct seen_event {
  trace_kind kind;
  std::uint8_t detail;
  std::uint64_t id;
  std::int64_t at_ns;
  std::vector<std::uint64_t> words;
  std::string text;
};

// What stands in a chunk from where it was read last.
void read_chunk(trace_chunk& chunk, std::vector<seen_event>& to) {
  const std::uint32_t used = chunk.used.load_acquire();  // pairs with lane::commit()
  std::int64_t at_ns = chunk.base_ns;
  for (std::uint32_t at = 0; at < used;) {
    const event_head head = event_head::of(chunk.words[at]);
    at_ns = head.kind == trace_kind::time ? static_cast<std::int64_t>(chunk.words[at + 1])
                                          : at_ns + head.since_ns;
    if (at >= chunk.read && head.kind != trace_kind::time) {
      seen_event e{head.kind, head.detail, chunk.words[at + 1], at_ns, {}, {}};
      for (unsigned i = 0; i < head.words; ++i) e.words.push_back(chunk.words[at + 2 + i]);
      e.text.assign(reinterpret_cast<const char*>(chunk.words + at + 2 + head.words),
                    head.text_bytes);
      to.push_back(e);
    }
    at += static_cast<std::uint32_t>(head.all_words());
  }
  chunk.read = used;
}

// The lanes of a test, never freed: they stay in the list of all.
lane& fresh_lane() { return *new lane; }

TEST(record_trace_lane, what_is_written_is_read_back) {
  ASSERT_TRUE(open_trace_pool(8));
  lane& mine = fresh_lane();
  mine.belong_to(77);
  mine.write(100, trace_kind::start, 0, 5);
  mine.write(100, trace_kind::end, 0, 6);
  mine.write(10'000'000'000, trace_kind::block, 3, ~std::uint64_t{0}, 9);
  const std::uint64_t words[3] = {1, 2, 3};
  mine.write(99, trace_kind::log, 0, 8, words, 3, "a message of 24 bytes...");
  trace_chunk* now = mine.current();
  ASSERT_NE(now, nullptr);
  EXPECT_EQ(now->thread, 77u);
  std::vector<seen_event> got;
  read_chunk(*now, got);
  ASSERT_EQ(got.size(), 4u);
  EXPECT_EQ(got[0].kind, trace_kind::start);
  EXPECT_EQ(got[0].id, 5u);
  EXPECT_EQ(got[0].at_ns, 100);
  EXPECT_EQ(got[1].at_ns, 100);
  EXPECT_EQ(got[2].at_ns, 10'000'000'000);
  EXPECT_EQ(got[3].at_ns, 10'000'000'000);  // never back
  EXPECT_EQ(got[2].detail, 3);
  EXPECT_EQ(got[2].words, std::vector<std::uint64_t>{9});
  EXPECT_EQ(got[3].words, (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_EQ(got[3].text, "a message of 24 bytes...");
  // Another thread: what was written stays the old one's.
  mine.belong_to(78);
  EXPECT_EQ(mine.current(), nullptr);
  trace_chunk* full = take_full_chunk();
  ASSERT_EQ(full, now);
  EXPECT_EQ(full->thread, 77u);
  free_chunk(*full);
}

// Times that go back or leap, threads that change, chunks that are full.
TEST(record_trace_lane, the_short_way_writes_what_the_long_way_does) {
  ASSERT_TRUE(open_trace_pool(64));
  const auto written = [](bool short_way) {
    lane& mine = fresh_lane();
    std::uint64_t x = 1, thread = 5;
    std::int64_t now_ns = 1000;
    for (std::uint64_t i = 0; i < 20'000; ++i) {
      x = x * 6364136223846793005u + 1442695040888963407u;
      const std::uint64_t what = x >> 40;
      if (what % 3001 == 5) thread = what;
      if (what % 1000 == 1) now_ns += std::int64_t{1} << 33;
      now_ns += static_cast<std::int64_t>(what % 100) - 10;
      const auto kind = what % 2 == 0 ? trace_kind::start : trace_kind::block;
      const auto detail = static_cast<std::uint8_t>(what);
      if (short_way) {
        mine.write_as(thread, now_ns, kind, detail, i);
      } else {
        mine.belong_to(thread);
        mine.write(now_ns, kind, detail, i);
      }
      if (what % 7 == 0) mine.write(now_ns, trace_kind::unblock, 0, i, what);  // of three words
    }
    mine.belong_to(0);
    std::vector<seen_event> got;
    std::vector<std::uint64_t> threads;
    while (trace_chunk* full = take_full_chunk()) {
      read_chunk(*full, got);
      threads.resize(got.size(), full->thread);
      free_chunk(*full);
    }
    return std::pair(got, threads);
  };
  const auto [by_long, its_threads] = written(false);
  const auto [by_short, threads] = written(true);
  ASSERT_GT(by_long.size(), 20'000u);
  ASSERT_EQ(by_short.size(), by_long.size());
  EXPECT_EQ(threads, its_threads);
  EXPECT_NE(threads.front(), threads.back());
  for (std::size_t i = 0; i < by_long.size(); ++i) {
    const seen_event &a = by_long[i], &b = by_short[i];
    ASSERT_EQ(std::tie(a.kind, a.detail, a.id, a.at_ns), std::tie(b.kind, b.detail, b.id, b.at_ns))
        << i;
  }
}

TEST(record_trace_lane, what_finds_no_room_is_counted) {
  ASSERT_TRUE(open_trace_pool(100));
  ASSERT_TRUE(open_trace_pool(8));
  lane& mine = fresh_lane();
  constexpr std::uint64_t many = 100'000;
  for (std::uint64_t i = 0; i < many; ++i)
    mine.write(static_cast<std::int64_t>(i), trace_kind::start, 0, i);
  std::vector<seen_event> got;
  while (trace_chunk* full = take_full_chunk()) {
    ASSERT_EQ(full->of, &mine);
    read_chunk(*full, got);
    free_chunk(*full);
  }
  const std::size_t kept = got.size();
  EXPECT_LE(kept, 8 * trace_chunk::words_max / 2);
  EXPECT_GT(kept, 7 * trace_chunk::words_max / 2 - 100);
  for (std::size_t i = 0; i < kept; ++i) EXPECT_EQ(got[i].id, i);
  const std::uint64_t before = sum(counter::lost_trace_events);
  // Now there is room: the next event comes after the number of those that are missing.
  mine.write(many, trace_kind::start, 0, many);
  read_chunk(*mine.current(), got);
  ASSERT_EQ(got.size(), kept + 2);
  EXPECT_EQ(got[kept].kind, trace_kind::lost);
  EXPECT_EQ(got[kept].id, many - kept);
  EXPECT_EQ(sum(counter::lost_trace_events), before + many - kept);  // the metric
  EXPECT_EQ(got[kept + 1].id, many);
  mine.belong_to(1);
  free_chunk(*take_full_chunk());
}

// Two writers, one reader that looks at chunks that are not full too.
TEST(record_trace_lane, what_is_lost_at_the_end_is_known) {
  ASSERT_TRUE(open_trace_pool(8));
  begin_losses();
  EXPECT_EQ(untold_losses(), 0u);
  lane& greedy = fresh_lane();
  lane& hungry = fresh_lane();  // never gets any room
  const std::int64_t later_each_time = std::int64_t{1} << 33;
  std::int64_t now_ns = 0;
  std::uint64_t written = 0;
  while (untold_losses() == 0) greedy.write(++now_ns, trace_kind::start, 0, ++written);
  EXPECT_EQ(untold_losses(), 1u);
  hungry.write(now_ns, trace_kind::start, 0, 1);
  hungry.write(now_ns, trace_kind::start, 0, 2);
  EXPECT_EQ(untold_losses(), 3u);
  // Nothing of the last round's in this one.
  begin_losses();
  EXPECT_EQ(untold_losses(), 0u);
  greedy.write(now_ns += later_each_time, trace_kind::start, 0, 3);
  EXPECT_EQ(untold_losses(), 1u);
  while (trace_chunk* each = take_full_chunk()) free_chunk(*each);
  std::vector<seen_event> got;
  hungry.write(now_ns, trace_kind::start, 0, 4);
  read_chunk(*hungry.current(), got);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].id, 4u);
  got.clear();
  greedy.write(now_ns, trace_kind::start, 0, 5);
  read_chunk(*greedy.current(), got);
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0].kind, trace_kind::lost);
  EXPECT_EQ(got[0].id, 1u);
  EXPECT_EQ(untold_losses(), 0u);
  for (lane* each : {&greedy, &hungry}) each->belong_to(77);  // which gives up what it has
  while (trace_chunk* each = take_full_chunk()) free_chunk(*each);
}

TEST(record_trace_lane, read_while_written) {
  ASSERT_TRUE(open_trace_pool(256));  // room for all of it
  constexpr std::uint64_t each = 50'000;
  std::array<lane*, 2> lanes{&fresh_lane(), &fresh_lane()};
  std::array<std::thread, 2> writers;
  for (std::size_t w = 0; w < writers.size(); ++w) {
    writers[w] = std::thread([&, w] {
      for (std::uint64_t i = 0; i < each; ++i)
        lanes[w]->write(static_cast<std::int64_t>(i), trace_kind::start, 0, i, w);
      lanes[w]->belong_to(1);  // gives the last chunk up
    });
  }
  std::map<lane*, std::vector<seen_event>> got;
  std::map<lane*, std::uint64_t> next_number;
  const auto is_complete = [&](lane* l) { return !got[l].empty() && got[l].back().id == each - 1; };
  while (!is_complete(lanes[0]) || !is_complete(lanes[1])) {
    while (trace_chunk* full = take_full_chunk()) {
      EXPECT_EQ(full->number, ++next_number[full->of]);
      read_chunk(*full, got[full->of]);
      free_chunk(*full);
    }
    for (lane* l : lanes) {
      trace_chunk* now = l->current();
      if (now != nullptr && now->number == next_number[l] + 1) read_chunk(*now, got[l]);
    }
  }
  for (std::thread& t : writers) t.join();
  for (lane* l : lanes) {
    std::uint64_t expected = 0;
    std::int64_t at_ns = 0;
    for (const seen_event& e : got[l]) {
      EXPECT_GE(e.at_ns, at_ns);
      at_ns = e.at_ns;
      ASSERT_EQ(e.kind, trace_kind::start);
      ASSERT_EQ(e.id, expected++);
    }
    EXPECT_EQ(expected, each);
  }
}

TEST(record_bounded_queue, holds_what_fits_in_order) {
  std::vector<queue_cell<int>> cells(4);
  bounded_queue<int> q;
  q.use(cells.data(), cells.size());
  int out = 0;
  EXPECT_FALSE(q.pop(out));
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(q.push(10 * round + i));
    EXPECT_FALSE(q.push(99));
    for (int i = 0; i < 4; ++i) {
      ASSERT_TRUE(q.pop(out));
      EXPECT_EQ(out, 10 * round + i);
    }
    EXPECT_FALSE(q.pop(out));
  }
}

TEST(record_bounded_queue, many_writers_and_readers) {
  std::vector<queue_cell<std::uint32_t>> cells(64);
  bounded_queue<std::uint32_t> q;
  q.use(cells.data(), cells.size());
  constexpr std::uint32_t each = 20'000;
  std::vector<std::thread> threads;
  detail::atomic<std::uint64_t> sum, popped;
  for (std::uint32_t w = 0; w < 2; ++w) {
    threads.emplace_back([&, w] {
      for (std::uint32_t i = 0; i < each; ++i)
        while (!q.push(w * each + i)) std::this_thread::yield();
    });
    threads.emplace_back([&] {
      while (popped.load_relaxed() < 2 * each) {
        std::uint32_t v = 0;
        if (!q.pop(v)) {
          std::this_thread::yield();
          continue;
        }
        sum.fetch_add_relaxed(v);
        popped.fetch_add_relaxed(1);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(sum.load_relaxed(), std::uint64_t{2} * each * (2 * each - 1) / 2);
}

TEST(record_stack_table, the_same_stack_has_one_number) {
  constexpr std::size_t slots = 256, words = 4096;
  std::vector<std::uint64_t> memory(slots + words);
  stack_table table;
  table.use(memory.data(), slots, words);
  const auto pc = [](std::uintptr_t n) { return reinterpret_cast<const void*>(n); };
  const void* a[] = {pc(1), pc(2), pc(3)};
  const void* b[] = {pc(1), pc(2)};
  const std::uint32_t first = table.number_of(a, 3);
  EXPECT_NE(first, 0u);
  EXPECT_EQ(table.number_of(a, 3), first);
  EXPECT_NE(table.number_of(b, 2), first);
  EXPECT_EQ(table.number_of(a, 0), 0u);
  ASSERT_EQ(table.stack_at(first).size(), 3u);
  EXPECT_EQ(table.stack_at(first)[2], 3u);
  EXPECT_TRUE(table.stack_at(0).empty());
  // Threads agree, and a full table says so.
  std::array<std::array<std::uint32_t, 500>, 2> numbers{};
  std::array<std::thread, 2> threads;
  for (std::size_t t = 0; t < threads.size(); ++t) {
    threads[t] = std::thread([&, t] {
      for (std::uintptr_t i = 0; i < 500; ++i) {
        const void* stack[] = {pc(1000 + i), pc(2000 + i)};
        numbers[t][i] = table.number_of(stack, 2);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  std::size_t agreed = 0;
  for (std::size_t i = 0; i < 500; ++i) {
    if (numbers[0][i] != 0 && numbers[1][i] != 0) {
      EXPECT_EQ(numbers[0][i], numbers[1][i]);
      EXPECT_EQ(table.stack_at(numbers[0][i])[0], 1000 + i);
      ++agreed;
    }
  }
  EXPECT_GT(agreed, 100u);
  EXPECT_GT(table.lost(), 0u);
}

}  // namespace
}  // namespace gort
