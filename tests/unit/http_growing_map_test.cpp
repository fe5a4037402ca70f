// The map of the mux: what was added is found, by readers that take no lock.
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "http/growing_map.hpp"

namespace gort::http {
namespace {

struct counted {
  static inline int alive = 0;
  counted() { ++alive; }
  ~counted() { --alive; }
  int number = 0;
};

std::string key_of(int i) { return "item-" + std::to_string(100'000 + i); }

TEST(http_growing_map, finds_what_was_added_and_ends_with_all_of_it) {
  constexpr int count = 20'000;  // in alphabetical order, as tables of routes are
  {
    growing_map<counted> map;
    EXPECT_TRUE(map.empty());
    EXPECT_EQ(map.find(""), nullptr);
    for (int i = 0; i < count; ++i) map[key_of(i)].number = i;
    EXPECT_FALSE(map.empty());
    EXPECT_EQ(counted::alive, count);
    for (int i = 0; i < count; ++i) {
      const counted* found = map.find(key_of(i));
      ASSERT_NE(found, nullptr) << i;
      ASSERT_EQ(found->number, i);
      ASSERT_EQ(&map[key_of(i)], found) << "added twice";
    }
    EXPECT_EQ(map.find(key_of(count)), nullptr);
    EXPECT_EQ(map.find("item"), nullptr);
    map[""].number = -1;
    EXPECT_EQ(map.find("")->number, -1);
  }
  EXPECT_EQ(counted::alive, 0);
}

TEST(http_growing_map, tells_keys_of_one_hash_apart) {
  growing_map<int> map;  // "costarring" and "liquid" have the same FNV-1a of 32 bits
  map["costarring"] = 1;
  EXPECT_EQ(map.find("liquid"), nullptr);
  map["liquid"] = 2;
  EXPECT_EQ(*map.find("costarring"), 1);
  EXPECT_EQ(*map.find("liquid"), 2);
}

TEST(http_growing_map, readers_see_whole_values_while_it_grows) {
  struct pair {
    gort::detail::atomic<int> first;
    std::string second = "whole";
  };
  constexpr int count = 2000;
  growing_map<pair> map;
  gort::detail::atomic<int> added;
  std::vector<std::thread> readers;
  for (int r = 0; r < 2; ++r) {
    readers.emplace_back([&] {
      for (int seen = 0; seen < count;) {
        seen = added.load_acquire();  // pairs with the release below
        for (int i = 0; i < count; i += 7) {
          const pair* found = map.find(key_of(i));
          if (i < seen) {
            ASSERT_NE(found, nullptr) << i << " of " << seen;
          }
          if (found != nullptr) {
            ASSERT_EQ(found->second, "whole");
          }
        }
      }
    });
  }
  for (int i = 0; i < count; ++i) {
    map[key_of(i)];
    added.store_release(i + 1);  // pairs with the acquire above
  }
  for (std::thread& each : readers) each.join();
}

}  // namespace
}  // namespace gort::http
