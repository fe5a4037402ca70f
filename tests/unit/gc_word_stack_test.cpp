// src/gc/word_stack.hpp: nothing is lost and nothing comes twice, over the ends of chunks.
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "gc/word_stack.hpp"

namespace gort::managed {
namespace {

constexpr std::size_t some = 3 * chunk::words_max + 17;

void push(word_stack& to, std::size_t count, std::uintptr_t from = 1) {
  for (std::size_t i = 0; i < count; ++i) to.push(from + i);
}

std::vector<std::uintptr_t> take_all(word_stack& from, std::size_t at_once) {
  std::vector<std::uintptr_t> out;
  while (const std::size_t count = from.take(at_once)) {
    EXPECT_LE(count, at_once);
    for (std::size_t i = count; i-- != 0;) out.push_back(from.end()[i]);
  }
  EXPECT_EQ(from.size(), 0U);
  return out;
}

// What is shared, which goes back to the pool.
std::vector<std::uintptr_t> take_shared(std::size_t& chunks) {
  std::vector<std::uintptr_t> out;
  gate().with_lock([&](bool) {
    for (chunks = 0; shared.list != nullptr; ++chunks) {
      chunk* each = shared.list;
      shared.list = each->next;
      EXPECT_TRUE(each->is_of_words);
      out.insert(out.end(), each->words, each->words + each->count);
      pool_locked(each);
    }
  });
  much.store_relaxed(0);
  return out;
}

TEST(word_stack, an_empty_one_has_nothing) {
  word_stack words;
  EXPECT_EQ(words.size(), 0U);
  EXPECT_EQ(words.take(1), 0U);
}

TEST(word_stack, the_latest_come_first) {
  for (const std::size_t count : {std::size_t{1}, chunk::words_max, chunk::words_max + 1, some}) {
    for (const std::size_t at_once : {std::size_t{1}, std::size_t{64}, std::size_t{10'000}}) {
      word_stack words;
      push(words, count);
      EXPECT_EQ(words.size(), count);
      std::vector<std::uintptr_t> expected(count);
      std::iota(expected.rbegin(), expected.rend(), 1);
      EXPECT_EQ(take_all(words, at_once), expected);
    }
  }
}

TEST(word_stack, the_older_half_is_given) {
  alignas(sizeof(chunk)) static chunk to;
  for (const std::size_t count :
       {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{11}, chunk::words_max}) {
    word_stack words;
    push(words, count);
    ASSERT_EQ(words.give_older(to), count / 2);
    ASSERT_EQ(to.count, count / 2);
    for (std::size_t i = 0; i < count / 2; ++i) EXPECT_EQ(to.words[i], i + 1);
    push(words, 3, 1000);
    EXPECT_EQ(words.size(), count - count / 2 + 3);
    std::vector<std::uintptr_t> expected{1002, 1001, 1000};
    for (std::size_t i = count; i > count / 2; --i) expected.push_back(i);
    EXPECT_EQ(take_all(words, 7), expected);
  }
}

TEST(word_stack, it_grows_and_shrinks_at_the_end_of_a_chunk) {
  word_stack words;
  push(words, chunk::words_max - 1);
  for (std::uintptr_t round = 0; round < 10; ++round) {
    push(words, 2, 1000 + 2 * round);
    EXPECT_EQ(words.size(), chunk::words_max + 1);
    for (std::uintptr_t i = 0; i < 2; ++i) {
      ASSERT_EQ(words.take(1), 1U);
      EXPECT_EQ(words.end()[0], 1001 + 2 * round - i);
    }
  }
}

TEST(word_stack, what_several_give_is_shared_once_in_few_chunks) {
  std::vector<word_stack> all(40);
  std::vector<std::uintptr_t> expected;
  std::uintptr_t next = 1;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::size_t count = i == 7 ? some : i % 3 == 0 ? 0 : 40 * i;
    push(all[i], count, next);
    next += count;
  }
  chunk_list given, empty;
  chunk* rest = nullptr;
  for (word_stack& each : all) each.give(given, rest, empty);
  ASSERT_NE(rest, nullptr);
  given.push(rest);
  gate().with_lock([&](bool) { share_all_locked(given, empty); });
  for (const word_stack& each : all) EXPECT_EQ(each.size(), 0U);
  std::size_t chunks = 0;
  std::vector<std::uintptr_t> got = take_shared(chunks);
  std::sort(got.begin(), got.end());
  expected.resize(next - 1);
  std::iota(expected.begin(), expected.end(), 1);
  EXPECT_EQ(got, expected);
  EXPECT_LE(chunks, expected.size() / chunk::words_max + 1);
}

}  // namespace
}  // namespace gort::managed
