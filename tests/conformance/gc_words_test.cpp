// The marker reads each word of each object, however many there are at a time: objects of all sizes
// that are full of pointers, more roots than it has room for, graphs that leap about in the heap.
#include <sys/mman.h>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include <gort/detail/atomic.hpp>
#include <gort/gc.hpp>
#include <gort/runtime.hpp>

#include "base/sanitizer.hpp"
#include "support/gc_support.hpp"
#include "support/run.hpp"
#include "support/seed.hpp"

namespace {

using namespace gort;
using test::counted;

using full = gc::ptr<gc::ptr<counted>>;

// Not in the frame of who collects.
[[gnu::noinline]] void fill(const full& to, std::size_t words, int& made) {
  for (std::size_t i = 0; i < words; ++i)
    to[static_cast<std::ptrdiff_t>(i)] = gc::make<counted>(made++);
}

void expect_all(const full& of, std::size_t words, int first) {
  for (std::size_t i = 0; i < words; ++i) {
    const gc::ptr<counted>& each = of[static_cast<std::ptrdiff_t>(i)];
    each->check();
    ASSERT_EQ(each->tag, first + static_cast<int>(i)) << words;
  }
}

TEST(gc_words, all_of_an_object_of_any_size_are_read) {
  test::with_procs(2, [] {
    counted::reset();
    std::vector<std::size_t> sizes;
    for (std::size_t words = 1; words <= 130; ++words) sizes.push_back(words);
    for (const std::size_t words : {511, 513, 1025, 4095, 4096, 4097, 8191, 20'000})
      sizes.push_back(words);
    auto kept = gc::make_array<full>(sizes.size());
    int made = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      full& holder = kept[static_cast<std::ptrdiff_t>(i)];
      holder = gc::make_array<gc::ptr<counted>>(sizes[i]);
      fill(holder, sizes[i], made);
    }
    runtime::gc();
    runtime::gc();
    EXPECT_EQ(counted::ended(), 0);
    int first = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      expect_all(kept[static_cast<std::ptrdiff_t>(i)], sizes[i], first);
      first += static_cast<int>(sizes[i]);
    }
  });
}

TEST(gc_words, more_roots_than_there_is_room_for) {
  test::with_procs(2, [] {
    counted::reset();
    std::vector<gc::ptr<counted>> roots;
    for (int i = 0; i < 300'000; ++i) roots.push_back(gc::make<counted>(i));
    runtime::gc();
    EXPECT_EQ(counted::ended(), 0);
    for (const auto& each : roots) each->check();
  });
}

constexpr std::size_t page_bytes = 4096;

void* page(void* at, int flags) {
  void* got =
      mmap(at, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  return got == MAP_FAILED ? nullptr : got;
}
// Null if somebody has it.
void* page_at(std::uintptr_t address) {
  return page(reinterpret_cast<void*>(address), MAP_FIXED_NOREPLACE);
}
void* page_anywhere() { return page(nullptr, 0); }

// Objects that only a word at this address leads to live until that ends.
void expect_root(void* address) {
  counted::reset();
  gc::ptr<counted>* word = nullptr;
  test::on_a_stack_of_its_own([&] { word = ::new (address) gc::ptr(gc::make<counted>(1)); });
  runtime::gc();
  EXPECT_EQ(counted::ended(), 0) << address;
  word->get()->check();
  std::destroy_at(word);
  EXPECT_TRUE(test::ends(1)) << address;
}

// What is scanned is a block of addresses that one compare tells from all others.
TEST(gc_words, beside_the_block_that_is_scanned_they_are_roots) {
  constexpr std::uintptr_t none = ~std::uintptr_t{0};
  constexpr unsigned bits = detail::managed_state::block_bits;
  const std::uintptr_t block = detail::managed.block;
  // Sanitizers leave no room for one.
  const bool is_there = !base::with_asan && !base::with_tsan;
  ASSERT_EQ(block != none, is_there);
  test::with_procs(2, [=] {
    void* const before = is_there ? page_at((block << bits) - page_bytes) : page_anywhere();
    void* const behind = is_there ? page_at((block + 1) << bits) : page_anywhere();
    EXPECT_TRUE(before != nullptr || behind != nullptr);
    if (before != nullptr) expect_root(static_cast<char*>(before) + page_bytes - sizeof(void*));
    if (behind != nullptr) expect_root(behind);
    for (void* const each : {before, behind})
      if (each != nullptr) munmap(each, page_bytes);
  });
}

struct joint {
  static inline detail::atomic<int> ended;

  explicit joint(int n) noexcept : number(n) {}
  ~joint() { ended.fetch_add_relaxed(1); }

  gc::ptr<joint> next;
  gc::ptr<joint> anywhere[11];
  int number;
};

// One that leads to all others, in a random order. On a stack of its own.
gc::ptr<joint> joints(std::size_t count) {
  std::mt19937_64 random(test::seed());
  std::vector<gc::ptr<joint>> all;
  for (std::size_t i = 0; i < count; ++i) all.push_back(gc::make<joint>(static_cast<int>(i)));
  std::shuffle(all.begin(), all.end(), random);
  for (std::size_t i = 0; i + 1 < count; ++i) {
    all[i]->next = all[i + 1];
    for (auto& each : all[i]->anywhere) each = all[random() % count];
  }
  return all[0];
}

// Too many words to sort at a time, in a heap of more regions than there are.
TEST(gc_words, a_graph_that_leaps_about_in_a_large_heap_is_followed) {
  test::with_procs(2, [] {
    constexpr std::size_t count = 300'000;
    joint::ended.store_relaxed(0);
    const auto far_away = gc::make_array<char>(std::size_t{300} << 20);
    gc::ptr<joint> first;
    test::on_a_stack_of_its_own([&first] { first = joints(count); });
    for (int i = 0; i < 3; ++i) runtime::gc();
    EXPECT_EQ(joint::ended.load_relaxed(), 0);
    std::vector<bool> seen(count);
    for (const joint* at = first.get(); at != nullptr; at = at->next.get())
      seen[static_cast<std::size_t>(at->number)] = true;
    EXPECT_EQ(std::count(seen.begin(), seen.end(), true), count);
    runtime::keep_alive(far_away);
  });
}

}  // namespace
