// Ps that have nothing to run mark, and are there at once for whoever wants them.
#include <chrono>
#include <cstddef>
#include <cstdint>

#include <gtest/gtest.h>

#include <gort/debug.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/gc.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "gc/control.hpp"
#include "os/affinity.hpp"
#include "sched/switching/spare.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace {

using namespace gort;
using namespace std::chrono_literals;

struct node {
  gc::ptr<node> left, right;
};

}  // namespace

template <>
inline constexpr bool gort::gc::needs_no_destructor<node> = true;

namespace {

gc::ptr<node> tree(int depth) {
  auto made = gc::make<node>();
  if (depth > 0) {
    made->left = tree(depth - 1);
    made->right = tree(depth - 1);
  }
  return made;
}

std::int64_t count(const node& of) {
  return 1 + (of.left ? count(*of.left) + count(*of.right) : 0);
}

constexpr int depth = 17;
constexpr std::int64_t nodes = (std::int64_t{1} << (depth + 1)) - 1;

// Collects until condition() is true. A bound on a hang.
template <class Condition>
bool collect_until(Condition condition) {
  const auto give_up = std::chrono::steady_clock::now() + 60s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    runtime::gc();
  }
  return true;
}

std::int64_t spare_ns() { return managed::read_collecting_cpu().idle_ns; }

TEST(gc_spare_time, ps_without_a_goroutine_mark) {
  if (os::cpus_allowed() < 2) GORT_SKIP("one CPU: the collector's thread has it");
  test::with_procs(2, [] {
    const auto kept = tree(depth);
    const std::int64_t before = spare_ns();
    EXPECT_TRUE(collect_until([before] { return spare_ns() > before; }));
    EXPECT_EQ(count(*kept), nodes);
  });
  EXPECT_EQ(sched::spare.load_relaxed(), nullptr) << "after a cycle nobody is asked for";
}

TEST(gc_spare_time, one_p_is_not_enough) {
  test::with_procs(1, [] {
    const auto kept = tree(depth);
    const std::int64_t before = spare_ns();
    for (int i = 0; i < 5; ++i) runtime::gc();
    EXPECT_EQ(spare_ns(), before) << "the collector's thread has the CPU that there is";
    EXPECT_EQ(count(*kept), nodes);
  });
}

// Who marks gives its P to goroutines, to timers, and to those who stop the world.
TEST(gc_spare_time, is_over_when_somebody_comes) {
  test::with_procs(2, [] {
    const auto kept = tree(depth);
    detail::atomic<bool> stop{false};
    detail::atomic<std::uint32_t> rounds;
    wait_group all;
    all.go([&] {
      while (!stop.load_acquire()) {
        gort::sleep(100us);
        wait_group some;
        for (int i = 0; i < 8; ++i) some.go([&rounds] { rounds.fetch_add_relaxed(1); });
        some.wait();
        runtime::gosched();
      }
    });
    all.go([&] {
      for (int n = 1; !stop.load_acquire(); n = n % 4 + 1) {
        runtime::gomaxprocs(n);
        gort::sleep(1ms);
      }
      runtime::gomaxprocs(2);
    });
    const std::uint32_t begun = managed::cycles_ended();
    EXPECT_TRUE(collect_until(
        [&] { return managed::cycles_ended() - begun >= 20 && rounds.load_relaxed() >= 8 * 20; }));
    stop.store_release(true);
    all.wait();
    EXPECT_EQ(count(*kept), nodes);
  });
}

}  // namespace
