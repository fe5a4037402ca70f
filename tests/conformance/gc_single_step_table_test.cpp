// A thread is stopped at every instruction of what makes a new part of the table of roots, for the
// first gc::ptr within a mebibyte of addresses. Another one puts its only pointer to an object
// beside it, and collects: the object lives on.
#include <gort/gc.hpp>

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <new>
#include <utility>

#include <gtest/gtest.h>

#include "support/single_step.hpp"
#include "support/single_step_words.hpp"
#include "support/skip.hpp"

namespace {

using namespace gort;
using namespace gort::test;

// Where no gc::ptr has ever been. It is never unmapped, so that the next one is elsewhere.
char* new_mebibyte() {
  constexpr std::size_t bytes = std::size_t{1} << 20;
  void* all = mmap(nullptr, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) return nullptr;
  const auto low = reinterpret_cast<std::uintptr_t>(all);
  return static_cast<char*>(all) + (-low & (bytes - 1));
}

char* place = nullptr;
words* kept = nullptr;    // the only pointer to the leaf, before
words* beside = nullptr;  // and after

[[gnu::noinline]] void the_first(void*& made, void*& at) { made = ::new (at) words; }

void move_beside_it() {
  constexpr std::size_t away = 64 << 10;
  beside = ::new (place + away) words(std::move(*kept));
}

// How many instructions it has.
long stopped_at(long instruction, words& a) {
  place = new_mebibyte();
  EXPECT_NE(place, nullptr);
  kept = &a;
  beside = nullptr;
  before_whole = move_beside_it;
  void* made = nullptr;
  void* at = place;
  const long seen = step_through(the_first, made, at, {.end_at = instruction});
  before_whole = nullptr;
  if (beside != nullptr) {
    a = std::move(*beside);
    beside->~words();
  }
  static_cast<words*>(made)->~words();
  return seen;
}

TEST(gc_single_step_table, a_new_part_of_the_table_at_every_instruction) {
  if (!test::can_single_step) GORT_SKIP("the trap flag is x86-64's");
  test::take_signals();
  with<in_table>([](const in_table& of) {
    words& a = of.late();
    make_old_leaf(a);
    (void)stopped_at(-1, a);  // what happens once only
    const long end = stopped_at(-1, a);
    stops = 0;
    for (long at = 0; at < end; ++at) {
      (void)stopped_at(at, a);
      ASSERT_TRUE(lives()) << "stopped at instruction " << at << " of " << end;
    }
    EXPECT_GT(stops, 50);
    std::printf("%ld instructions, stopped %ld times\n", end, stops);
    a = nullptr;
  });
}

}  // namespace
