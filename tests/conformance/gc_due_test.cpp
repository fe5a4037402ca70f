// What is due to end, and waits for its turn while the heap is collected again and again, is still
// there when that comes, with all it owns.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/gc.hpp>
#include <gort/runtime.hpp>

#include "gc/control.hpp"
#include "support/gc_support.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;

using words = std::vector<std::uint64_t, gc::allocator<std::uint64_t>>;

struct owner {
  static constexpr std::uint64_t canary = 0x600dcafe600dcafe;
  static inline detail::atomic<int> ended;

  words owned = words(6, canary);
  ~owner() {
    for (const std::uint64_t each : owned) {
      if (each == canary) continue;
      ADD_FAILURE() << "what it owns is another one's";
      std::abort();
    }
    ended.fetch_add_relaxed(1);
  }
};

TEST(gc_due, what_waits_for_its_turn_is_there) {
  constexpr int several = 1000;
  test::with_procs(2, [] {
    auto gate = make_chan<char>();
    detail::atomic<bool> blocks;
    owner::ended.store_relaxed(0);
    const auto dies = [&] {
      runtime::set_finalizer(gc::make<int>(1), [&blocks, gate](const gc::ptr<int>&) {
        blocks.store_release(true);
        gate.recv();
      });
    };
    detail::atomic<int> finalized;
    test::on_a_stack_of_its_own([&] {
      std::vector<gc::ptr<owner>> all(several);
      for (auto& each : all) each = gc::make<owner>();
      for (int i = 0; i < several; ++i) {
        runtime::set_finalizer(gc::make<std::uint64_t>(owner::canary),
                               [&finalized](const gc::ptr<std::uint64_t>& self) {
                                 EXPECT_EQ(*self, owner::canary);
                                 finalized.fetch_add_relaxed(1);
                               });
      }
      for (int i = 0; i < several; ++i) dies();
    });
    while (!blocks.load_acquire()) {
      test::on_a_stack_of_its_own(dies);  // a word in some stack may keep the first one
      runtime::gc();
    }
    const int before = owner::ended.load_relaxed();
    // All are due, or are dead in the next cycle; and they are in the way of what is made here.
    for (int i = 0; i < 5; ++i) {
      for (int n = 0; n < 10 * several; ++n) {
        const auto other = gc::make_array<std::uint64_t>(6);
        for (std::ptrdiff_t at = 0; at < 6; ++at) other[at] = ~std::uint64_t{0};
        (void)gc::make<std::uint64_t>(~std::uint64_t{0});
      }
      runtime::gc();
    }
    EXPECT_EQ(owner::ended.load_relaxed(), before);
    gate.close();
    // One may be kept by a word that looks like it.
    while (owner::ended.load_relaxed() < several - 1 || finalized.load_relaxed() < several - 1)
      test::collect_all();
  });
}

// The goal is what lives and GOGC's percent of that: what is dead and waits for its destructor is
// in the way until it has had it, and is no reason for as much garbage again.
TEST(gc_due, what_waits_for_its_turn_does_not_raise_the_goal) {
  struct ends {
    char bytes[1000] = {};
    ~ends() { bytes[0] = 1; }
  };
  constexpr std::size_t mib = std::size_t{1} << 20;
  test::with_procs(2, [] {
    auto gate = make_chan<char>();
    detail::atomic<bool> blocks;
    while (!blocks.load_acquire()) {
      test::on_a_stack_of_its_own([&] {
        runtime::set_finalizer(gc::make<int>(1), [&blocks, gate](const gc::ptr<int>&) {
          blocks.store_release(true);
          gate.recv();
        });
      });
      runtime::gc();
    }
    for (int i = 0; i < 100'000; ++i) (void)gc::make<ends>();
    runtime::gc();
    runtime::gc();  // now some that were due before
    EXPECT_GT(managed::bytes_found(), 90 * mib);
    // Of what lives, 4 MiB at least, and 16 for a small heap.
    EXPECT_LE(managed::heap_goal() - managed::bytes_found(), 24 * mib);
    gate.close();
  });
}

}  // namespace
