// Containers in managed memory: what they have dropped dies while they live.
#include <gort/gc.hpp>

#include <array>
#include <vector>

#include <gtest/gtest.h>

#include "support/gc_support.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;
using test::collect_all;
using test::counted;
using test::ends;
using pointer = gc::ptr<counted>;

template <class T>
using managed_vector = std::vector<T, gc::allocator<T>>;

struct holder {
  managed_vector<pointer> some;
};

TEST(gc_containers, a_vector_does_not_keep_what_it_has_dropped_in_its_spare_room) {
  test::with_procs(2, [] {
    counted::reset();
    gc::ptr<holder> h;
    test::on_a_stack_of_its_own([&] {
      h = gc::make<holder>();
      for (int i = 0; i < 8; ++i) h->some.push_back(gc::make<counted>(i));
      h->some.pop_back();
      h->some.erase(h->some.begin());
    });
    EXPECT_TRUE(ends(2));
    test::on_a_stack_of_its_own([&] { h->some.clear(); });
    EXPECT_TRUE(ends(8));
    EXPECT_GE(h->some.capacity(), 8U);
  });
}

TEST(gc_containers, pointers_whose_scope_has_ended_keep_nothing_in_a_frame_that_goes_on) {
  test::with_procs(2, [] {
    constexpr int n = 32;
    counted::reset();
    {
      std::array<pointer, n> here;  // filled by another, so that no copies are left in this frame
      test::on_a_stack_of_its_own([&] {
        for (int i = 0; i < n; ++i) here[static_cast<std::size_t>(i)] = gc::make<counted>(i);
      });
      collect_all();
      EXPECT_EQ(counted::ended(), 0);
    }
    EXPECT_TRUE(ends(n));
  });
}

}  // namespace
