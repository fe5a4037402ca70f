// A thread whose P was taken while it slept in a call allocates beside the P's new holder, and not
// from what the P has.
#include <fcntl.h>
#include <unistd.h>
#include <array>
#include <cstddef>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/gc.hpp>
#include <gort/go.hpp>

#include "support/gc_support.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;

struct owned {
  explicit owned(int by) : owner(by) {}
  gc::ptr<owned> next;
  int owner;
};

// How many of those that this goroutine has made are somebody else's now.
int make_many(int by) {
  constexpr int objects = 20'000;
  gc::ptr<owned> all;
  for (int i = 0; i < objects; ++i) {
    auto made = gc::make<owned>(by);
    made->next = std::move(all);
    all = std::move(made);
  }
  int seen = 0, taken = 0;
  for (const owned* each = all.get(); each != nullptr && seen < objects; each = each->next.get()) {
    ++seen;
    taken += each->owner != by;
  }
  return taken + objects - seen;
}

TEST(gc_taken, who_comes_back_without_his_p_has_none_of_its_memory) {
  test::with_procs(1, [] {
    constexpr int rounds = 30;
    for (int round = 0; round < rounds; ++round) {
      std::array<int, 2> ends{};
      ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
      EXPECT_EQ(make_many(1), 0);  // the P has a cache
      auto other = make_chan<int>(1);
      // With one P it runs when that was taken, and then the sleeper is woken.
      go([other, to = ends[1]]() mutable {
        EXPECT_EQ(write(to, "x", 1), 1);
        other.send(make_many(2));
      });
      char got = 0;
      EXPECT_EQ(read(ends[0], &got, 1), 1);  // nobody is told of it
      EXPECT_EQ(make_many(1), 0);
      EXPECT_EQ(other.recv().value_or(-1), 0);
      for (const int each : ends) close(each);
    }
  });
}

}  // namespace
