// Linked into managed_elements_test (tests/CMakeLists.txt): while its tests run, the heap is
// collected again and again, by a plain thread. Half the cycles are held up between the look at
// what is elsewhere and the look at the stacks: else they are so short that hardly a pointer goes
// from what is still to be looked at to where that has been done.
//
// Between tests, too, where no run() is in progress and goroutines stand still.
#include <chrono>
#include <cstdio>
#include <random>
#include <thread>

#include <gort/runtime.hpp>

#include "record/managed_heap.hpp"
#include "support/beside_tests.hpp"

namespace {

class collecting : public gort::test::beside_tests {
  void once(std::mt19937_64& random) override {
    std::chrono::microseconds hold(random() % held_us_max);
    if (random() % 2 == 0 || !gort::record::the_managed_heap()->collect_around(hold_up, &hold))
      gort::runtime::gc();
    ++cycles_;
    if (random() % 4 == 0)
      std::this_thread::sleep_for(std::chrono::microseconds(random() % pause_us_max));
  }
  void at_end() override { std::printf("collected %d times\n", cycles_); }
  static void hold_up(const gort::record::managed_marking&, void* raw) noexcept {
    std::this_thread::sleep_for(*static_cast<std::chrono::microseconds*>(raw));
  }

  static constexpr unsigned held_us_max = 500, pause_us_max = 2000;

  int cycles_ = 0;
};

const bool is_there = gort::test::add_beside_tests(new collecting);

}  // namespace
