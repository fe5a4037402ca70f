// A thread is stopped at every instruction of what a gc::ptr does, and a whole collection runs
// there: what it moves around lives on. Then the same with a collection that has begun to mark
// before, and goes on at that instruction; and with one that begins at one instruction and goes on
// at another.
//
// This is the proof for [word-1] to [word-3], which need no restart of what was interrupted, and
// for the table of roots: the machine's own instructions, as they have been compiled here, stopped
// one by one by the processor's trap flag. (Stopped inside gort, where a thread may hold a lock
// that the collector waits for, it is let go on: that is what "inside" means.)
#include <gort/gc.hpp>

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <new>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <gort/debug.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/runtime.hpp>

#include "gc/heap.hpp"
#include "support/run.hpp"
#include "support/single_step.hpp"
#include "support/single_step_words.hpp"
#include "support/skip.hpp"

namespace {

using namespace gort;
using namespace gort::test;

// --- what is stepped through: each moves the only pointer from `a` to `b`

using operation = void (*)(words& a, words& b);

[[gnu::noinline]] void copies(words& a, words& b) {
  b = a;
  a = nullptr;
}
[[gnu::noinline]] void moves(words& a, words& b) { b = std::move(a); }
[[gnu::noinline]] void swaps(words& a, words& b) { swap(a, b); }
[[gnu::noinline]] void by_a_copy_that_ends(words& a, words& b) {
  const words kept(a);
  a = nullptr;
  b = kept;
}
[[gnu::noinline]] words returned(words& a) {
  words out = std::move(a);
  return out;
}
[[gnu::noinline]] void by_value(words& a, words& b) { b = returned(a); }
[[gnu::noinline]] void by_another_type(words& a, words& b) {
  const gc::ptr<std::uint64_t> inside(a, &a.get()->canary);
  a = nullptr;
  b = words(inside, reinterpret_cast<leaf*>(inside.get()));
}
[[gnu::noinline]] void by_mallocs_memory(words& a, words& b) {
  alignas(words) static unsigned char memory[sizeof(words)];
  auto* made = ::new (static_cast<void*>(memory)) words(a);
  a = nullptr;
  b = *made;
  made->~words();
}
// What users have of the library and of their own, with the instances that these are compiled to.
[[gnu::noinline]] void by_an_atomic_pointer(words& a, words& b) {
  gc::atomic_ptr<leaf> it(std::move(a));
  b = it.exchange(nullptr);
}
[[gnu::noinline]] void by_a_vector_that_grows(words& a, words& b) {
  std::vector<words> all;
  all.push_back(std::move(a));
  all.emplace_back();
  b = std::move(all[0]);
}
struct holder {
  words held;
};
[[gnu::noinline]] void by_a_new_object(words& a, words& b) {
  const auto made = gc::make<holder>();
  made->held = std::move(a);
  b = made->held;
}
[[gnu::noinline]] void by_a_weak_pointer(words& a, words& b) {
  const gc::weak<leaf> kept(a);
  b = kept.lock();
  a = nullptr;
}
struct named_operation {
  const char* name;
  operation run;
  bool while_marking;   // too
  bool at_two = false;  // likewise
  bool is_long = false;
};
constexpr named_operation operations[] = {
    {"copy", copies, true, true},
    {"move", moves, true, true},
    {"swap", swaps, true},
    {"a copy that ends", by_a_copy_that_ends, true},
    {"by value", by_value, true},
    {"aliasing", by_another_type, false},
    {"elsewhere", by_mallocs_memory, false},
    {"atomic", by_an_atomic_pointer, false, false, true},
    {"vector", by_a_vector_that_grows, false, false, true},
    {"new object", by_a_new_object, false, false, true},
    {"weak", by_a_weak_pointer, false, false, true},
};

class gc_single_step : public testing::TestWithParam<named_operation> {
 public:
  static void SetUpTestSuite() { test::take_signals(); }
  void SetUp() override {
    if (!test::can_single_step) GORT_SKIP("the trap flag is x86-64's");
  }

 protected:
  static void at_every_instruction(words& a, words& b, bool hold_up) {
    const operation run = GetParam().run;
    make_old_leaf(a);
    run(a, b);  // what happens once only is not stepped through
    put_back(a, b);
    const long end = step_through(run, a, b, {});
    EXPECT_GT(end, 5);
    ASSERT_LT(end, 2000);
    for (long at = 0; at < end; ++at) {
      put_back(a, b);
      if (hold_up) {
        set_obstacle(PROT_NONE);
        ask(up_to_marking);
      }
      (void)step_through(run, a, b, {-1, at, hold_up});
      ASSERT_TRUE(lives()) << "stopped at instruction " << at << " of " << end;
      ASSERT_TRUE(b);
    }
    b = nullptr;
    total += end;
  }

  static void at_every_two(words& a, words& b) {
    const operation run = GetParam().run;
    make_old_leaf(a);
    run(a, b);
    put_back(a, b);
    const long end = step_through(run, a, b, {});
    for (long first = 0; first < end; ++first) {
      for (long second = first; second < end; ++second) {
        put_back(a, b);
        set_obstacle(PROT_NONE);
        (void)step_through(run, a, b, {first, second, true});
        ASSERT_TRUE(lives()) << "stopped at " << first << " and " << second << " of " << end;
      }
    }
    b = nullptr;
    total += end;
  }

  static long total;
};
long gc_single_step::total = 0;

constexpr std::size_t words_of_page = step_page_bytes / sizeof(words);
struct large {
  words all[8 * words_of_page];
};

}  // namespace

template <>
inline constexpr bool gort::gc::needs_no_destructor<large> = true;

namespace {

// Of a managed object, which is scanned from its beginning on, 32 KiB at a time.
class in_object {
 public:
  in_object() : object_(gc::make<large>()) { have_obstacle(&object_->all[4 * words_of_page]); }
  in_object(const in_object&) = delete;
  in_object& operator=(const in_object&) = delete;
  ~in_object() { set_obstacle(PROT_READ | PROT_WRITE); }
  words& early() const { return object_->all[1]; }
  words& late() const { return object_->all[7 * words_of_page]; }

 private:
  gc::ptr<large> object_;
};

TEST_P(gc_single_step, a_whole_collection_at_every_instruction) {
  total = stops = 0;
  if (!GetParam().is_long) {
    with<in_object>([](const in_object& of) {
      at_every_instruction(of.late(), of.early(), false);
      if (GetParam().at_two) at_every_instruction(of.early(), of.late(), false);
    });
  }
  with<in_table>([](const in_table& of) { at_every_instruction(of.late(), of.early(), false); });
  EXPECT_GE(stops, total - 500);  // in some it was inside
  std::printf("%ld instructions, stopped %ld times\n", total, stops);
}

TEST_P(gc_single_step, a_marking_that_has_begun_ends_at_every_instruction) {
  if (!GetParam().while_marking) return;
  total = stops = 0;
  const auto both_ways = [](const auto& of) {
    at_every_instruction(of.late(), of.early(), true);
    at_every_instruction(of.early(), of.late(), true);
  };
  with<in_object>(both_ways);
  with<in_table>(both_ways);
  EXPECT_GT(stops, total / 2);
  std::printf("%ld instructions, stopped %ld times\n", total, stops);
}

TEST_P(gc_single_step, a_marking_begins_at_one_instruction_and_ends_at_another) {
  if (!GetParam().at_two) return;
  total = stops = 0;
  const auto both_ways = [](const auto& of) {
    at_every_two(of.late(), of.early());
    at_every_two(of.early(), of.late());
  };
  with<in_object>(both_ways);
  with<in_table>(both_ways);
  EXPECT_GT(stops, total * 5);
  std::printf("%ld instructions, stopped %ld times\n", total, stops);
}

INSTANTIATE_TEST_SUITE_P(of, gc_single_step, testing::ValuesIn(operations), [](const auto& of) {
  std::string name = of.param.name;
  for (char& c : name) c = c == ' ' ? '_' : c;
  return name;
});

}  // namespace
