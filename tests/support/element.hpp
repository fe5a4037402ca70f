// What conformance programs pass through channels, maps, contexts and closures: an int, or, where
// they are compiled once more with GORT_TEST_MANAGED, what behaves as one and is kept by gc::ptrs
// alone (tests/CMakeLists.txt, managed_elements_test).
#pragma once

#ifndef GORT_TEST_MANAGED

namespace gort::test {
using element = int;
}

#else

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <utility>

#include <gort/gc.hpp>

namespace gort::test {

struct managed_number {
  explicit managed_number(int v) : value(v), inverse(~v) {}
  int value;
  int inverse;
};
struct managed_box {
  static constexpr std::uint64_t alive = 0x600dcafe600dcafe;
  explicit managed_box(gc::ptr<managed_number> n) : number(std::move(n)) {}
  std::uint64_t canary = alive;
  gc::ptr<managed_number> number;
};

}  // namespace gort::test

// No destructors: they would run on a goroutine, and some tests count those that are parked.
template <>
inline constexpr bool gort::gc::needs_no_destructor<gort::test::managed_box> = true;

namespace gort::test {

/// An int that is two managed objects, one behind the other. Each reading looks whether they are
/// what was made, and not freed or somebody else's.
class element {
 public:
  element() : element(0) {}
  element(int value)
      : box_(gc::make<managed_box>(gc::make<managed_number>(value))), expected_(value) {}

  operator int() const {
    if (box_->canary != managed_box::alive) fail("box");
    const managed_number& number = *box_->number;
    if (number.value != expected_ || number.inverse != ~expected_) fail("number");
    return expected_;
  }

 private:
  [[noreturn, gnu::noinline]] static void fail(const char* what) {
    std::fprintf(stderr, "element: a %s that a gc::ptr keeps has been freed\n", what);
    std::abort();
  }

  gc::ptr<managed_box> box_;  // null: moved from, and not to be read
  int expected_;
};

}  // namespace gort::test

template <>
struct std::hash<gort::test::element> {
  std::size_t operator()(const gort::test::element& of) const { return std::hash<int>()(of); }
};

#endif
