// Free stacks: which are handed out, which give their pages back, and that each has one owner.
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/detail/atomic.hpp>

#include "base/sanitizer.hpp"
#include "os/resident.hpp"
#include "stack/slots.hpp"
#include "support/skip.hpp"

namespace gort::stack {
namespace {

// Classes that nothing else in this program uses.
constexpr unsigned order_class = 1, surplus_class = 2, storm_class = 0;

char* top_of(void* slot, unsigned size_class) {
  return static_cast<char*>(slot) + class_bytes(size_class) - 64;
}

std::vector<void*> acquire_touched(unsigned size_class, int count) {
  std::vector<void*> slots;
  for (int i = 0; i < count; ++i) {
    slots.push_back(acquire(size_class));
    *top_of(slots.back(), size_class) = 1;
  }
  return slots;
}

std::size_t resident_bytes(void* slot, unsigned size_class) {
  char* low = static_cast<char*>(slot) + guard_bytes(size_class);
  return os::page_map().scan(low, static_cast<char*>(slot) + class_bytes(size_class)).bytes;
}

TEST(stack_slots, those_free_for_longest_give_their_pages_back_and_are_used_last) {
  GORT_NOT_UNDER(base::with_asan || base::with_tsan, "the stacks are registered");
  std::vector<void*> slots = acquire_touched(order_class, 5);
  release(order_class, slots.data(), slots.size());
  const cooled two = give_back_free(order_class, 2);
  EXPECT_EQ(two.how, cooled::how::done);
  EXPECT_EQ(two.stacks, 2u);
  EXPECT_EQ(two.bytes, 2 * os::page_bytes);
  for (std::size_t i = 0; i < slots.size(); ++i)
    EXPECT_EQ(resident_bytes(slots[i], order_class), i < 2 ? 0 : os::page_bytes) << i;
  // The last released comes first; those without pages come last, before a fresh one.
  std::vector<void*> again;
  for (std::size_t i = 0; i < slots.size(); ++i) again.push_back(acquire(order_class));
  EXPECT_EQ(std::set<void*>(again.begin(), again.end()),
            std::set<void*>(slots.begin(), slots.end()));
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(again[i], slots[4 - i]);
  EXPECT_EQ(give_back_free(order_class, 2).how, cooled::how::none_left);
}

TEST(stack_slots, what_was_not_needed_for_a_whole_period_is_surplus) {
  std::vector<void*> slots = acquire_touched(surplus_class, 10);
  (void)surplus(surplus_class);
  release(surplus_class, slots.data(), slots.size());
  EXPECT_EQ(surplus(surplus_class), 0u) << "all were in use in this period";
  std::vector<void*> needed = acquire_touched(surplus_class, 3);
  release(surplus_class, needed.data(), needed.size());
  EXPECT_EQ(surplus(surplus_class), 7u);
  EXPECT_EQ(surplus(surplus_class), 10u);
  release(surplus_class, nullptr, 0);
}

// Threads take and release stacks while two others give pages back: what an owner has written
// stays, and nobody else has the same stack.
TEST(stack_slots, an_owner_keeps_its_pages_while_others_give_theirs_back) {
  constexpr int owners = 3, rounds = 30'000, each = 7;
  detail::atomic<int> left{owners};
  std::vector<std::thread> threads;
  for (int t = 0; t < owners; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < rounds; ++i) {
        const int mark = t * rounds + i;
        void* mine[each];
        for (void*& slot : mine) {
          slot = acquire(storm_class);
          std::memcpy(top_of(slot, storm_class), &mark, sizeof(mark));
        }
        for (void* slot : mine)
          ASSERT_EQ(std::memcmp(top_of(slot, storm_class), &mark, sizeof(mark)), 0);
        release(storm_class, mine, each);
      }
      left.fetch_sub_release(1);
    });
  }
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      while (left.load_acquire() != 0) give_back_free(storm_class, 5);
    });
  }
  for (auto& t : threads) t.join();
  // All are still there, once each.
  std::set<void*> all;
  for (int i = 0; i < owners * each; ++i) all.insert(acquire(storm_class));
  EXPECT_EQ(all.size(), static_cast<std::size_t>(owners * each));
}

}  // namespace
}  // namespace gort::stack
