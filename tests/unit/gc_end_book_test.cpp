// The book of ends: records are found however many there are, whether memory for more buckets comes
// or not; what is due comes out in order, also while the collector looks at it.
#include "gc/end_book.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace gort::managed {
namespace {

constexpr std::size_t slot_bytes = 16;

std::uintptr_t slot_of(std::size_t i) { return (std::uintptr_t{1} << 40) + i * slot_bytes; }

struct records {
  end_book book;
  std::vector<std::unique_ptr<end_record>> made;

  void insert(std::size_t count, bool brings_memory) {
    for (std::size_t i = 0; i < count; ++i) {
      made.push_back(std::make_unique<end_record>(slot_of(made.size())));
      book.records.insert(*made.back());
      const unsigned wanted = book.records.wanted_segment();
      if (wanted != 0 && brings_memory) bring_segment(book, wanted);
    }
  }
  void expect_all_found() {
    for (std::size_t i = 0; i < made.size(); ++i)
      ASSERT_EQ(book.records.find(hidden_slot(slot_of(i))), made[i].get()) << i;
    ASSERT_EQ(book.records.find(hidden_slot(slot_of(made.size()))), nullptr);
  }
  std::size_t count() const {
    std::size_t n = 0;
    for (const end_record* each = book.records.newest(); each != nullptr; each = each->older) ++n;
    return n;
  }
};

TEST(gc_end_book, all_are_found_while_it_grows) {
  records all;
  for (int i = 0; i < 20; ++i) {
    all.insert(997, true);
    all.expect_all_found();
  }
  EXPECT_EQ(all.book.records.wanted_segment(), 0u);
}

TEST(gc_end_book, without_memory_to_grow_it_goes_on) {
  records all;
  all.insert(5000, false);
  EXPECT_NE(all.book.records.wanted_segment(), 0u);
  all.expect_all_found();
  all.insert(5000, true);
  all.expect_all_found();
}

TEST(gc_end_book, what_is_taken_out_is_gone) {
  records all;
  all.insert(3000, true);
  const auto is_kept = [](std::size_t i) { return i % 3 == 1; };
  for (std::size_t i = 0; i < all.made.size(); ++i)
    if (!is_kept(i)) all.book.records.remove(*all.made[i]);
  for (std::size_t i = 0; i < all.made.size(); ++i)
    ASSERT_EQ(all.book.records.find(hidden_slot(slot_of(i))),
              is_kept(i) ? all.made[i].get() : nullptr);
  EXPECT_EQ(all.count(), all.made.size() / 3);
}

// Pops `before` of them, looks at what is left, some at a time, and pops `between` after each look.
std::size_t looked_at(std::size_t count, std::size_t before, std::size_t between) {
  due_list found;
  for (std::size_t i = 0; i < count; ++i)
    EXPECT_TRUE(found.add({hidden_slot(slot_of(i)), nullptr}));
  due_queue due;
  due.append(found);
  std::size_t popped = 0;
  const auto pop = [&](std::size_t n) {
    for (; n != 0 && !due.is_empty(); --n) {
      EXPECT_EQ(due.front().object.slot(), slot_of(popped++));
      delete due.pop();
    }
  };
  pop(before);
  due.begin_look();
  std::uintptr_t slots[due_batch::capacity];
  std::size_t seen = 0;
  while (const std::size_t n = due.look_at_some(slots)) {
    for (std::size_t i = 1; i < n; ++i) EXPECT_EQ(slots[i], slots[0] + i * slot_bytes);
    seen += n;
    pop(between);
  }
  pop(count);
  EXPECT_EQ(popped, count);
  return seen;
}

TEST(gc_end_book, who_looks_at_what_is_due_misses_none_that_stays) {
  EXPECT_EQ(looked_at(1000, 0, 0), 1000u);
  EXPECT_EQ(looked_at(1000, 130, 0), 870u);
  EXPECT_EQ(looked_at(1, 0, 0), 1u);
  EXPECT_EQ(looked_at(0, 0, 0), 0u);
  constexpr std::size_t ten = std::size_t{10} * due_batch::capacity;
  EXPECT_EQ(looked_at(ten, 0, due_batch::capacity), ten);  // each when it was looked at
  // Two for each look: every other one is gone before.
  EXPECT_EQ(looked_at(ten, 0, std::size_t{2} * due_batch::capacity), ten / 2);
}

}  // namespace
}  // namespace gort::managed
