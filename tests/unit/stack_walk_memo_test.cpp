// What is found without a walk is what a walk would find.
#include "stack/walk_memo.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>
#include <vector>

#include <gort/go.hpp>
#include <gort/wait_group.hpp>

#include "os/memory.hpp"
#include "sched/gmp/own_stack.hpp"
#include "support/run.hpp"
#include "support/seed.hpp"

namespace gort::stack {
namespace {

class looker {
 public:
  explicit looker(std::size_t bytes) : bytes_(bytes), memory_(os::reserve(bytes)) {
    if (memory_ != nullptr) memo.use(memory_, bytes);
  }
  ~looker() { os::unreserve(memory_, bytes_); }
  looker(const looker&) = delete;
  looker& operator=(const looker&) = delete;

  walk_memo memo;
  int found = 0, unknown = 0;

  [[gnu::noinline]] void look() {
    const frame_state from = calling_frame();
    const sched::own_stack own = sched::own_stack_at(from.sp());
    ASSERT_NE(own.bounds.high, 0u);
    const std::uint32_t known = memo.find(from, own.bounds);
    walk_trail trail;
    const void* pcs[64];
    const walked how = walk(from, own.bounds, pcs, std::size(pcs), &trail);
    const std::vector<const void*> stack(pcs, pcs + how.frames);
    const auto [at, is_new] =
        numbers_.try_emplace(stack, static_cast<std::uint32_t>(numbers_.size() + 1));
    if (known != 0) {
      ++found;
      ASSERT_FALSE(is_new);
      ASSERT_EQ(known, at->second);
      return;
    }
    ++unknown;
    memo.add(from, own.bounds, trail, at->second);
  }
  std::size_t different() const { return numbers_.size(); }

 private:
  std::size_t bytes_;
  void* memory_;
  std::map<std::vector<const void*>, std::uint32_t> numbers_;
};

using random = std::mt19937_64;
void one_more(looker& by, random& choose, int depth);

[[gnu::noinline]] void plain(looker& by, random& choose, int depth) {
  one_more(by, choose, depth);
  asm("");
}
// As large as the one above where that is called twice, so that depths say little.
[[gnu::noinline]] void other(looker& by, random& choose, int depth) {
  one_more(by, choose, depth);
  asm("");
}
template <std::size_t bytes>
[[gnu::noinline]] void of_size(looker& by, random& choose, int depth) {
  char some[bytes];
  asm volatile("" : : "r"(&some) : "memory");
  one_more(by, choose, depth);
  asm("");
}
void of_any_size(looker& by, random& choose, int depth) {
  return choose() % 2 == 0 ? of_size<16>(by, choose, depth) : of_size<64>(by, choose, depth);
}
// Through the C library, which may keep no frame pointers.
struct sorted {
  looker* by;
  random* choose;
  int depth;
};
[[gnu::noinline]] void through_a_library(looker& by, random& choose, int depth) {
  static sorted now;  // P is 1
  const sorted before = now;
  now = {&by, &choose, depth};
  const int keys[] = {1};
  const int key = 1;
  (void)std::bsearch(&key, keys, 1, sizeof(int), [](const void*, const void*) {
    one_more(*now.by, *now.choose, now.depth);
    return 0;
  });
  now = before;
}

[[gnu::noinline]] void one_more(looker& by, random& choose, int depth) {
  if (depth == 0) return by.look();
  switch (choose() % 4) {
    case 0: return plain(by, choose, depth - 1);
    case 1: return other(by, choose, depth - 1);
    case 2: return of_any_size(by, choose, depth - 1);
    default: return through_a_library(by, choose, depth - 1);
  }
}

TEST(walk_memo, what_it_finds_is_what_a_walk_finds) {
  looker by(std::size_t{2} << 20);
  test::with_procs(1, [&] {
    random choose(test::seed());
    for (int i = 0; i < 20'000; ++i) {
      wait_group one;
      const int depth = static_cast<int>(choose() % 5);
      if (i % 16 == 0)
        one.go([&] { one_more(by, choose, depth); });  // on another stack
      else
        one_more(by, choose, depth);
      one.wait();
    }
  });
  EXPECT_GT(by.different(), 100u);
  // Before glibc 2.35 a walk goes by frame pointers alone, and leaves no trail.
  if (by.found == 0) GTEST_SKIP() << "no trails here";
  EXPECT_GT(by.found, 5'000) << by.unknown;
}

TEST(walk_memo, what_has_no_room_is_walked) {
  looker by(std::size_t{20} << 10);  // all but 4 KiB are slots
  test::with_procs(1, [&] {
    random choose(test::seed());
    for (int i = 0; i < 2'000; ++i) one_more(by, choose, static_cast<int>(choose() % 5));
  });
  EXPECT_GT(by.unknown, by.found);
}

}  // namespace
}  // namespace gort::stack
