// The heap profile of managed objects where there are more than it can follow, at a rate of 1: what
// it has followed it takes out again when that has died.
#include <gort/gc.hpp>

#include <cstddef>
#include <cstdint>
#include <random>

#include <gtest/gtest.h>

#include <gort/debug.hpp>
#include <gort/runtime.hpp>

#include "record/heap.hpp"
#include "support/gc_support.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;
using record::heap_profile;

std::int64_t followed() {
  std::int64_t count = 0;
  record::heap_events.table().for_each([&count](const record::event_table::bucket& each) {
    count += each.sum(heap_profile::allocations) - each.sum(heap_profile::frees);
  });
  return count;
}

struct rate_of_one {
  std::int64_t before = record::heap_events.set_rate_bytes(1);
  rate_of_one() = default;
  rate_of_one(const rate_of_one&) = delete;
  rate_of_one& operator=(const rate_of_one&) = delete;
  ~rate_of_one() { record::heap_events.set_rate_bytes(before); }
};

// Spans keep some of their objects each time, so that they stay.
[[gnu::noinline]] void make_too_many() {
  constexpr std::size_t live = 400'000, made_at_once = 400'000;
  constexpr int rounds = 12;
  std::mt19937 random(1);
  const auto all = gc::make_array<gc::ptr<std::uint64_t>>(live);
  for (std::size_t i = 0; i < live; ++i)
    all[static_cast<std::ptrdiff_t>(i)] = gc::make<std::uint64_t>(i);
  EXPECT_LT(followed(), static_cast<std::int64_t>(live));  // or there is room for all
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < made_at_once; ++i)
      all[static_cast<std::ptrdiff_t>(random() % live)] = gc::make<std::uint64_t>(i);
    runtime::gc();
  }
}

TEST(gc_sampled_many, what_has_died_is_followed_no_longer) {
  test::with_procs(2, [] {
    const test::gogc_off kept;
    const rate_of_one all;
    test::on_a_stack_of_its_own(make_too_many);
    record::heap_events.set_rate_bytes(0);
    for (int i = 0; i < 3; ++i) runtime::gc();
    runtime::mem_stats now;
    runtime::read_mem_stats(now);
    EXPECT_LE(followed(), static_cast<std::int64_t>(now.heap_objects));
  });
}

}  // namespace
