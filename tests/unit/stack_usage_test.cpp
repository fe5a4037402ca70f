// debug::stack_usage(): the marks are those of the goroutines that were measured, not of whoever
// had their stacks before.
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/wait_group.hpp>

#include "base/sanitizer.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using testing::HasSubstr;

constexpr std::size_t shallow_bytes = 10'000, deep_bytes = 100'000;
// What else is on such a stack: gort's frames, and what sanitizers add to all of them.
constexpr std::size_t tolerance = base::with_asan || base::with_tsan ? 40'000 : 3'000;

template <std::size_t Bytes>
[[gnu::noinline]] void uses() {
  volatile char frame[Bytes];
  frame[0] = 1;
  frame[Bytes - 1] = frame[0];
}

// Or the call would be a jump, and the caller be taken for the creator.
void no_tail_call() { asm volatile("" ::: "memory"); }

// The sites: each go() stands in a function of its own.
[[gnu::noinline]] void start_shallow() {
  go(uses<shallow_bytes>);
  no_tail_call();
}
[[gnu::noinline]] void start_deep() {
  go({.name = "deep one"}, uses<deep_bytes>);
  no_tail_call();
}
[[gnu::noinline]] void start_counted() {
  go([] {});
  no_tail_call();
}
[[gnu::noinline]] void start_defaulted() {
  go([] {});
  no_tail_call();
}
[[gnu::noinline]] void start_waiting(const chan<int>& gate, const chan<int>& there) {
  go([gate, there] {
    uses<deep_bytes>();
    there.send(1);
    gate.recv();
  });
  no_tail_call();
}
[[gnu::noinline]] void start_with_1_mib(const chan<int>& done) {
  go({.stack = 1 << 20}, [done] {
    uses<500'000>();
    done.send(1);
  });
  no_tail_call();
}

debug::stack_usage_entry entry_of(const std::string& function) {
  for (auto& each : debug::stack_usage()) {
    if (each.created_by.find(function) != std::string::npos) return each;
  }
  return {};
}

void let_all_end() {
  while (runtime::num_goroutine() > 1) runtime::gosched();
}

TEST(stack_usage, marks_are_of_the_measured_goroutines_only) {
  test::with_procs(1, [] {
    debug::set_stack_sampling(1);
    for (int round = 0; round < 3; ++round) {
      // The deep ones leave the slots behind that the shallow ones get.
      for (int i = 0; i < 100; ++i) start_deep();
      let_all_end();
      for (int i = 0; i < 100; ++i) start_shallow();
      let_all_end();
    }
    const auto shallow = entry_of("start_shallow"), deep = entry_of("start_deep");
    EXPECT_EQ(shallow.measured, 300u);
    EXPECT_EQ(deep.measured, 300u);
    EXPECT_GE(shallow.high_water_bytes, shallow_bytes);
    EXPECT_LE(shallow.high_water_bytes, shallow_bytes + tolerance);
    EXPECT_GE(deep.high_water_bytes, deep_bytes);
    EXPECT_LE(deep.high_water_bytes, deep_bytes + tolerance);
    EXPECT_EQ(deep.name, "deep one");
    EXPECT_EQ(shallow.name, "");
    const std::size_t slot = base::with_asan ? 1 << 20 : 192 << 10;
    EXPECT_LT(deep.usable_bytes, slot);
    EXPECT_GE(deep.usable_bytes + (20 << 10), slot);
    const std::string text = debug::describe_stack_usage({deep});
    EXPECT_THAT(text, HasSubstr(std::to_string(deep.high_water_bytes) + " of " +
                                std::to_string(deep.usable_bytes) +
                                " bytes, 300 measured, \"deep one\", created by "));
    EXPECT_THAT(deep.file, HasSubstr("stack_usage_test.cpp"));
    EXPECT_GT(deep.line, 0);
    debug::set_stack_sampling(-1);
  });
}

TEST(stack_usage, sees_living_goroutines_and_each_size_of_stack) {
  test::with_procs(2, [] {
    EXPECT_EQ(debug::set_stack_sampling(1), -1);
    auto gate = make_chan<int>(), there = make_chan<int>();
    start_waiting(gate, there);
    there.recv();
    const auto waiting = entry_of("start_waiting");
    EXPECT_EQ(waiting.measured, 1u);
    EXPECT_GE(waiting.high_water_bytes, deep_bytes) << "it has not ended";
    gate.close();
    start_with_1_mib(there);
    there.recv();
    const auto large = entry_of("start_with_1_mib");
    EXPECT_GE(large.high_water_bytes, 500'000u);
    EXPECT_GT(large.usable_bytes, 1'000'000u);
    EXPECT_EQ(debug::set_stack_sampling(-1), 1);
  });
}

TEST(stack_usage, measures_one_of_as_many_as_it_is_told) {
  test::with_procs(1, [] {
    debug::set_stack_sampling(10);
    for (int i = 0; i < 1000; ++i) start_counted();
    let_all_end();
    EXPECT_EQ(entry_of("start_counted").measured, 100u);
    debug::set_stack_sampling(0);
    for (int i = 0; i < 1000; ++i) start_counted();
    let_all_end();
    EXPECT_LE(entry_of("start_counted").measured, 101u) << "none, but the one that was due";
    debug::set_stack_sampling(-1);
    // 1st, 2nd after that, 4th, 8th, ...: ten of the first thousand.
    for (int i = 0; i < 1000; ++i) start_defaulted();
    let_all_end();
    EXPECT_GE(entry_of("start_defaulted").measured, 9u);
    EXPECT_LE(entry_of("start_defaulted").measured, 11u);
  });
}

TEST(stack_usage, may_be_asked_while_goroutines_come_and_go) {
  test::with_procs(4, [] {
    debug::set_stack_sampling(3);
    std::vector<debug::stack_usage_entry> last;
    wait_group all;
    for (int i = 0; i < 4; ++i) {
      all.go([] {
        for (int n = 0; n < 500; ++n) {
          wait_group inner;
          inner.go([] { uses<shallow_bytes>(); });
          inner.go([] { runtime::gosched(); });
          inner.wait();
        }
      });
    }
    for (int i = 0; i < 20; ++i) {
      last = debug::stack_usage();
      runtime::gosched();
    }
    all.wait();
    last = debug::stack_usage();
    EXPECT_FALSE(last.empty());
    for (std::size_t i = 0; i < last.size(); ++i) {
      EXPECT_LE(last[i].high_water_bytes, last[i].usable_bytes);
      if (i > 0) {
        EXPECT_LE(last[i].high_water_bytes, last[i - 1].high_water_bytes) << "sorted";
      }
    }
    debug::set_stack_sampling(-1);
  });
}

}  // namespace
}  // namespace gort
