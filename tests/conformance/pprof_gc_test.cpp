// Managed objects in the heap profile.
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/gc.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/wait_group.hpp>

#include "report/pprof/built_in.hpp"
#include "support/gc_support.hpp"
#include "support/profile_reader.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

constexpr std::size_t alloc_objects = 0, alloc_space = 1, inuse_objects = 2, inuse_space = 3;

test::read_profile read_heap() {
  std::string bytes;
  pprof::lookup("heap")->write_to([&](std::string_view piece) { bytes += piece; });
  return test::profile_reader::read(test::gunzip(bytes));
}

std::int64_t through(const test::read_profile& p, const std::string& function, std::size_t which) {
  std::int64_t sum = 0;
  for (const auto& each : p.samples)
    if (each.functions().find(function) != std::string::npos) sum += each.values.at(which);
  return sum;
}

struct sampling {
  explicit sampling(std::int64_t rate) { runtime::set_mem_profile_rate(rate); }
  ~sampling() { runtime::set_mem_profile_rate(512 << 10); }
};

struct block {
  char is[48];
};
using blocks = std::vector<gc::ptr<block>>;

[[gnu::noinline]] void makes_each(blocks& to, int n) {
  for (int i = 0; i < n; ++i) to.push_back(gc::make<block>());
}

// What a cache got at another rate is used up: 64 slots at most.
[[gnu::noinline]] void changes_to_the_new_rate() {
  for (int i = 0; i < 100; ++i) (void)gc::make<block>();
}

TEST(gc_heap_profile, at_a_rate_of_1_every_object_counts) {
  test::with_procs(1, [] {
    const sampling all(1);
    constexpr int objects = 200;
    changes_to_the_new_rate();
    blocks kept;
    kept.reserve(objects);
    test::on_a_stack_of_its_own([&] { makes_each(kept, objects); });
    const test::read_profile p = read_heap();
    EXPECT_EQ(through(p, "makes_each", alloc_objects), objects);
    EXPECT_EQ(through(p, "makes_each", alloc_space), objects * 48);
    EXPECT_EQ(through(p, "makes_each", inuse_objects), objects);
    EXPECT_EQ(through(p, "makes_each", inuse_space), objects * 48);
    // The innermost frame is who allocates.
    for (const auto& each : p.samples) {
      if (each.functions().find("makes_each") == std::string::npos) continue;
      ASSERT_FALSE(each.stack.empty());
      EXPECT_NE(each.stack[0].lines.back().function.find("makes_each"), std::string::npos)
          << each.functions();
      EXPECT_EQ(each.numbers.at("bytes"), 48);
    }
    kept.resize(20);
    constexpr int left = 10;  // by what is on stacks
    test::collect_all();
    const test::read_profile after = read_heap();
    EXPECT_EQ(through(after, "makes_each", alloc_objects), objects);
    EXPECT_GE(through(after, "makes_each", inuse_objects), 20);
    EXPECT_LE(through(after, "makes_each", inuse_objects), 20 + left);
  });
}

[[gnu::noinline]] void keeps_blocks(blocks& to, int n) {
  for (int i = 0; i < n; ++i) to.push_back(gc::make<block>());
}
[[gnu::noinline]] void drops_blocks(int n) {
  for (int i = 0; i < n; ++i) (void)gc::make<block>();
}
[[gnu::noinline]] void drops_large_ones(int n) {
  for (int i = 0; i < n; ++i) (void)gc::make_array<char>(100'000);
}
[[gnu::noinline]] void drops_on_a_thread(int n) {
  for (int i = 0; i < n; ++i) (void)gc::make<block>();
}

TEST(gc_heap_profile, sizes_within_what_a_sample_can_tell) {
  test::with_procs(2, [] {
    const sampling some(16 << 10);
    constexpr int objects = 400'000, large = 200;
    blocks kept;
    kept.reserve(objects);
    test::on_a_stack_of_its_own([&] {
      keeps_blocks(kept, objects);  // 19 MB: 1170 samples, 3% is one standard deviation
      drops_blocks(objects);
      drops_large_ones(large);  // 21 MB, nearly all sampled
    });
    std::thread([] { drops_on_a_thread(objects); }).join();
    test::collect_all();
    const test::read_profile p = read_heap();
    constexpr double bytes = objects * 48.0, bound = 0.15;
    EXPECT_EQ(p.period, 16 << 10);
    EXPECT_NEAR(static_cast<double>(through(p, "keeps_blocks", inuse_space)), bytes, bytes * bound);
    EXPECT_NEAR(static_cast<double>(through(p, "keeps_blocks", alloc_space)), bytes, bytes * bound);
    EXPECT_NEAR(static_cast<double>(through(p, "drops_blocks", alloc_space)), bytes, bytes * bound);
    EXPECT_NEAR(static_cast<double>(through(p, "drops_on_a_thread", alloc_space)), bytes,
                bytes * bound);
    EXPECT_NEAR(static_cast<double>(through(p, "drops_large_ones", alloc_space)), large * 106'496.0,
                large * 106'496.0 * bound);
    EXPECT_LE(through(p, "drops_blocks", inuse_space), 64 << 10);
    EXPECT_LE(through(p, "drops_large_ones", inuse_objects), 3);
    runtime::keep_alive(kept.front());
  });
}

TEST(gc_heap_profile, none_at_a_rate_of_0) {
  test::with_procs(2, [] {
    const sampling none(0);
    blocks kept;
    const auto before = read_heap();
    makes_each(kept, 5000);
    EXPECT_EQ(through(read_heap(), "makes_each", alloc_objects),
              through(before, "makes_each", alloc_objects));
  });
}

// Slots that are kept back for a sample are not freed by a collection that comes before their turn.
TEST(gc_heap_profile, slots_that_are_kept_back_are_held) {
  test::with_procs(1, [] {
    const sampling many(200);
    constexpr std::uint64_t first = 10, objects = 3000;
    std::vector<gc::ptr<std::uint64_t>> kept, others;
    const auto make = [](auto& to, std::uint64_t n, std::uint64_t what) {
      for (std::uint64_t i = 0; i < n; ++i) to.push_back(gc::make<std::uint64_t>(what + i));
    };
    for (int round = 0; round < 10; ++round) {
      kept.clear();
      others.clear();
      make(kept, first, 0);
      runtime::gc();  // with a word of slots in use in part
      make(kept, objects, first);
      runtime::gc();
      make(others, objects, 1'000'000);
      for (std::uint64_t i = 0; i < kept.size(); ++i) ASSERT_EQ(*kept[i], i);
    }
  });
}

// Nor lost, whoever samples meanwhile.
TEST(gc_heap_profile, sampling_and_collecting_at_a_time) {
  test::with_procs(4, [] {
    const sampling many(200);
    constexpr int goroutines = 4, rounds = 20, objects = 2000;
    wait_group all;
    for (int i = 0; i < goroutines; ++i) {
      all.go([] {
        for (int round = 0; round < rounds; ++round) {
          std::vector<gc::ptr<std::uint64_t>> kept;
          for (std::uint64_t n = 0; n < objects; ++n) kept.push_back(gc::make<std::uint64_t>(n));
          for (std::uint64_t n = 0; n < objects; ++n) ASSERT_EQ(*kept[n], n);
          if (round % 5 == 0) runtime::gc();
        }
      });
    }
    all.wait();
  });
}

TEST(gc_heap_profile, is_prepared_by_a_collection_and_shows_statistics_as_text) {
  test::with_procs(2, [] {
    (void)gc::make<int>(1);
    runtime::mem_stats before, after;
    runtime::read_mem_stats(before);
    const pprof::profile* heap = pprof::lookup("heap");
    const pprof::built_in* kind = pprof::detail::profile_access::of(*heap);
    ASSERT_NE(kind->prepare, nullptr);
    kind->prepare();
    runtime::read_mem_stats(after);
    EXPECT_EQ(after.num_forced_gc, before.num_forced_gc + 1);
    std::string text;
    heap->write_to([&](std::string_view piece) { text += piece; }, 1);
    const auto has = [&](const std::string& line) {
      return text.find("\n# " + line + "\n") != std::string::npos;
    };
    EXPECT_TRUE(has("NumGC = " + std::to_string(after.num_gc))) << text;
    EXPECT_TRUE(has("NumForcedGC = " + std::to_string(after.num_forced_gc)));
    EXPECT_TRUE(has("LastGC = " + std::to_string(after.last_gc)));
    EXPECT_TRUE(has("Frees = " + std::to_string(after.frees)));
    EXPECT_NE(text.find(std::to_string(after.last_gc) + " 0"), std::string::npos);
  });
}

}  // namespace
}  // namespace gort
