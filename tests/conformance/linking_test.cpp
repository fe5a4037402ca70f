// A program links what it uses: the library's objects come one by one, also in a unity build.
#include <gtest/gtest.h>

#include <gort/go.hpp>
#include <gort/wait_group.hpp>

// A weak reference asks whether something is there, and brings nothing in.
namespace gort::runtime {
[[gnu::weak]] void gc();
}  // namespace gort::runtime

namespace {

TEST(linking, goroutines_bring_no_managed_heap) {
  int ran = 0;
  gort::run([&] {
    gort::wait_group all;
    all.go([&] { ++ran; });
    all.wait();
  });
  EXPECT_EQ(ran, 1);
  EXPECT_EQ(&gort::runtime::gc, nullptr);
}

}  // namespace
