// The rest of Go's package sync: Map, OnceFunc, OnceValue.
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <type_traits>

#include <gtest/gtest.h>

#include <gort/sync.hpp>

#include "support/element.hpp"
#include "support/parties.hpp"

namespace gort {
namespace {

using test::element;
using test::in_all;
using test::message_of;

TEST(map, loads_what_was_stored) {
  gort::map<std::string, element> m;
  EXPECT_FALSE(m.load("a"));
  m.store("a", 1);
  EXPECT_EQ(m.load("a"), 1);
  EXPECT_EQ(m.load_or_store("a", 2).value, 1);
  EXPECT_TRUE(m.load_or_store("a", 2).loaded);
  EXPECT_FALSE(m.load_or_store("b", 2).loaded);
  EXPECT_EQ(m.swap("b", 3), 2);
  EXPECT_FALSE(m.swap("c", 4));
  EXPECT_FALSE(m.compare_and_swap("c", 5, 6));
  EXPECT_TRUE(m.compare_and_swap("c", 4, 6));
  EXPECT_FALSE(m.compare_and_erase("c", 4));
  EXPECT_TRUE(m.compare_and_erase("c", 6));
  EXPECT_EQ(m.load_and_erase("b"), 3);
  EXPECT_FALSE(m.erase("b"));
  EXPECT_TRUE(m.erase("a"));
  m.store("d", 1);
  m.clear();
  EXPECT_FALSE(m.load("d"));
}

// Uses the map when it goes, as the destructor of a connection that is listed there.
struct listed {
  gort::map<int, std::shared_ptr<listed>>* in;
  int* gone;
  ~listed() {
    const auto& m = *in;
    EXPECT_EQ(m.load(7).value_or(nullptr), nullptr);
    ++*gone;
  }
};

TEST(map, destroys_nothing_under_its_lock) {
  run([] {
    gort::map<int, std::shared_ptr<listed>> m;
    int gone = 0;
    const auto fill = [&] { m.store(7, std::shared_ptr<listed>(new listed{&m, &gone})); };
    fill();
    m.store(7, nullptr);
    EXPECT_EQ(gone, 1);
    fill();
    m.swap(7, nullptr);
    EXPECT_EQ(gone, 2);
    fill();
    EXPECT_TRUE(m.compare_and_swap(7, m.load(7).value(), nullptr));
    EXPECT_EQ(gone, 3);
    m.erase(7);
    m.load_or_store(7, nullptr);
    m.load_or_store(7, std::shared_ptr<listed>(new listed{&m, &gone}));
    EXPECT_EQ(gone, 4);
  });
}

TEST(map, range_holds_no_lock) {
  gort::map<element, element> m;
  for (int i = 0; i < 100; ++i) m.store(i, i);
  std::set<int> seen;
  m.range([&](int key, int) {
    EXPECT_TRUE(seen.insert(key).second);
    m.erase(key);
    m.store(key + 1000, key);
  });
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(seen.contains(i));
  int visits = 0;
  m.range([&](int, int) { return ++visits < 3; });
  EXPECT_EQ(visits, 3);
}

TEST(map, counts_by_compare_and_swap) {
  gort::map<element, element> m;
  for (int i = 0; i < 4; ++i) m.store(i, 0);
  in_all(4, [&](int i) {
    for (int k = 0; k < 500; ++k) {
      const int key = (i + k) % 4;
      for (;;) {
        const int before = *m.load(key);
        if (m.compare_and_swap(key, before, before + 1)) break;
      }
    }
  });
  long sum = 0;
  m.range([&](int, int n) { sum += n; });
  EXPECT_EQ(sum, 3 * 8 * 500);
}

TEST(once_func, calls_once_for_all_copies) {
  detail::atomic<int> calls;
  auto f = once_func([&] { calls.fetch_add_relaxed(1); });
  in_all(4, [f](int) mutable { f(); });
  EXPECT_EQ(calls.load_relaxed(), 1);
}

TEST(once_value, makes_one_value) {
  int calls = 0;
  auto f = once_value([&] {
    ++calls;
    return std::make_unique<element>(7);
  });
  const std::unique_ptr<element>& first = f();
  EXPECT_EQ(*first, 7);
  EXPECT_EQ(&f(), &first);
  auto copy = f;
  EXPECT_EQ(&copy(), &first);
  EXPECT_EQ(calls, 1);
}

TEST(once_value, throws_the_same_each_time) {
  int calls = 0;
  auto f = once_value([&]() -> element {
    ++calls;
    throw std::runtime_error("no");
  });
  for (int i = 0; i < 3; ++i) EXPECT_THROW(f(), std::runtime_error);
  EXPECT_EQ(calls, 1);
}

TEST(once_func, goexit_is_no_return) {
  run([] {
    auto f = once_func([] { runtime::goexit(); });
    wait_group ended;
    ended.go([f]() mutable { f(); });
    ended.wait();
    EXPECT_EQ(message_of([&] { f(); }), "gort: the function of a once ended its goroutine");
  });
}

}  // namespace
}  // namespace gort
