// The heap profile of known allocations, in a program that links gort::malloc_profile.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <gort/go.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/wait_group.hpp>

#include "support/profile_reader.hpp"
#include "support/run.hpp"
#include "support/seed.hpp"

namespace gort {
namespace {

constexpr std::size_t alloc_objects = 0, alloc_space = 1, inuse_objects = 2, inuse_space = 3;

test::read_profile read_heap(const char* name = "heap") {
  std::string bytes;
  pprof::lookup(name)->write_to([&](std::string_view piece) { bytes += piece; });
  return test::profile_reader::read(test::gunzip(bytes));
}

std::int64_t through(const test::read_profile& p, const std::string& function, std::size_t which) {
  std::int64_t sum = 0;
  for (const auto& each : p.samples)
    if (each.functions().find(function) != std::string::npos) sum += each.values.at(which);
  return sum;
}

using blocks = std::vector<void*>;

[[gnu::noinline]] void keeps(blocks& to, int count, std::size_t bytes) {
  for (int i = 0; i < count; ++i) to.push_back(std::malloc(bytes));
}
[[gnu::noinline]] void news(std::vector<std::unique_ptr<char[]>>& to, int count,
                            std::size_t bytes) {
  for (int i = 0; i < count; ++i) to.push_back(std::make_unique<char[]>(bytes));
}
[[gnu::noinline]] void frees_at_once(int count, std::size_t bytes) {
  for (int i = 0; i < count; ++i) {
    void* block = std::malloc(bytes);
    asm volatile("" : : "r"(block) : "memory");
    std::free(block);
  }
}

TEST(heap_profile, known_sizes_within_what_a_sample_can_tell) {
  runtime::set_mem_profile_rate(32 << 10);
  blocks kept;
  kept.reserve(40'000);
  std::vector<std::unique_ptr<char[]>> news_kept;
  news_kept.reserve(20'000);
  run([&] {
    keeps(kept, 40'000, 1000);      // 40 MB: 1200 samples, 3% off is one standard deviation
    news(news_kept, 20'000, 2000);  // 40 MB
    frees_at_once(40'000, 1000);    // 40 MB, of which nothing is left
  });
  const test::read_profile p = read_heap();
  EXPECT_EQ(p.types, (std::vector<std::string>{"alloc_objects/count", "alloc_space/bytes",
                                               "inuse_objects/count", "inuse_space/bytes"}));
  EXPECT_EQ(p.period_type, "space/bytes");
  EXPECT_EQ(p.period, 32 << 10);
  constexpr double bytes = 40e6, bound = 0.15;
  EXPECT_NEAR(static_cast<double>(through(p, "keeps", inuse_space)), bytes, bytes * bound);
  EXPECT_NEAR(static_cast<double>(through(p, "keeps", alloc_space)), bytes, bytes * bound);
  EXPECT_NEAR(static_cast<double>(through(p, "keeps", inuse_objects)), 40e3, 40e3 * bound);
  EXPECT_NEAR(static_cast<double>(through(p, "news", inuse_space)), bytes, bytes * bound);
  EXPECT_NEAR(static_cast<double>(through(p, "frees_at_once", alloc_space)), bytes, bytes * bound);
  EXPECT_EQ(through(p, "frees_at_once", inuse_space), 0);
  // The innermost frame is who allocates, not the allocator.
  for (const auto& each : p.samples) {
    if (each.functions().find("keeps") == std::string::npos) continue;
    ASSERT_FALSE(each.stack.empty());
    EXPECT_NE(each.stack[0].lines[0].function.find("keeps"), std::string::npos) << each.functions();
    EXPECT_EQ(each.numbers.at("bytes"), 1000);
  }
  for (void* each : kept) std::free(each);
  EXPECT_EQ(through(read_heap(), "keeps", inuse_space), 0);
  EXPECT_EQ(read_heap("allocs").default_type, "alloc_space");
  runtime::set_mem_profile_rate(512 << 10);
}

[[gnu::noinline]] void* exactly(std::size_t bytes) {
  void* block = std::malloc(bytes);
  asm volatile("" : : "r"(block) : "memory");
  return block;
}

TEST(heap_profile, at_a_rate_of_1_every_block_counts) {
  runtime::set_mem_profile_rate(1);
  frees_at_once(1, 64 << 20);  // this thread's countdown ends with it
  blocks kept;
  kept.reserve(8);
  for (int i = 0; i < 5; ++i) kept.push_back(exactly(100));
  runtime::set_mem_profile_rate(0);  // what reading allocates need not be followed
  const test::read_profile p = read_heap();
  EXPECT_EQ(through(p, "exactly", inuse_objects), 5);
  EXPECT_EQ(through(p, "exactly", inuse_space), 500);
  for (void* each : kept) std::free(each);
  const test::read_profile after = read_heap();
  EXPECT_EQ(through(after, "exactly", inuse_space), 0);
  EXPECT_EQ(through(after, "exactly", alloc_space), 500);
  std::string text;
  pprof::lookup("heap")->write_to([&](std::string_view piece) { text += piece; }, 1);
  EXPECT_EQ(text.rfind("heap profile: ", 0), 0u) << text.substr(0, 200);
  EXPECT_NE(text.find("@ heap/0\n"), std::string::npos);
  EXPECT_NE(text.find("0: 0 [5: 500] @"), std::string::npos);
  runtime::set_mem_profile_rate(512 << 10);
}

// Each entry keeps its contract, sampled or not.
TEST(heap_profile, the_c_librarys_contract_holds) {
  for (const std::int64_t rate : {std::int64_t{1}, std::int64_t{0}, std::int64_t{4096}}) {
    runtime::set_mem_profile_rate(rate);
    frees_at_once(1, 64 << 20);
    for (const std::size_t alignment : {16u, 64u, 4096u, 65536u}) {
      void* block = nullptr;
      ASSERT_EQ(posix_memalign(&block, alignment, 100), 0);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % alignment, 0u);
      std::free(block);
      block = std::aligned_alloc(alignment, alignment);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % alignment, 0u);
      std::free(block);
    }
    void* block = nullptr;
    EXPECT_EQ(posix_memalign(&block, 3, 100), EINVAL);
    auto* zero = static_cast<unsigned char*>(std::calloc(1000, 7));
    for (int i = 0; i < 7000; ++i) ASSERT_EQ(zero[i], 0);
    std::memset(zero, 0xab, 7000);
    for (const std::size_t bytes : {20'000u, 300'000u, 10u, 6000u}) {  // grows, moves, shrinks
      zero = static_cast<unsigned char*>(std::realloc(zero, bytes));
      ASSERT_NE(zero, nullptr);
      EXPECT_GE(malloc_usable_size(zero), bytes);
      for (std::size_t i = 0; i < 10; ++i) ASSERT_EQ(zero[i], 0xab);
    }
    std::free(zero);
    volatile std::size_t too_much = static_cast<std::size_t>(-1) / 2;
    errno = 0;
    EXPECT_EQ(std::malloc(too_much), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(std::calloc(too_much, 4), nullptr);
    void* volatile stays = std::malloc(5000);  // the compiler takes it for gone
    std::memset(stays, 7, 5000);
    EXPECT_EQ(std::realloc(stays, too_much), nullptr);
    EXPECT_EQ(static_cast<char*>(stays)[4999], 7);
    std::free(stays);
    std::free(nullptr);
  }
  runtime::set_mem_profile_rate(512 << 10);
}

// A sampled block is used again for one that is larger.
TEST(heap_profile, a_block_that_is_used_again_has_room) {
  runtime::set_mem_profile_rate(1);
  frees_at_once(1, 64 << 20);
  constexpr std::size_t page = 4096, large = 4000;
  const auto may_be_large = [&](auto make_small) {
    blocks small, again;
    for (int i = 0; i < 50; ++i) small.push_back(make_small());
    for (void* each : small) std::free(each);
    for (int i = 0; i < 50; ++i) {
      again.push_back(std::malloc(large));
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(again.back()) % page, 0u);
      EXPECT_GE(malloc_usable_size(again.back()), large);
      std::memset(again.back(), i, large);
    }
    for (int i = 0; i < 50; ++i) {
      const auto* bytes = static_cast<const char*>(again[static_cast<std::size_t>(i)]);
      EXPECT_EQ(bytes[0], i);
      EXPECT_EQ(bytes[large - 1], i);
      std::free(again[static_cast<std::size_t>(i)]);
    }
  };
  may_be_large([] { return std::malloc(10); });
  may_be_large([] { return std::aligned_alloc(4 * page, 16); });
  may_be_large([] { return std::realloc(std::malloc(10), 20); });
  may_be_large([] {
    void* volatile stays = std::malloc(10);
    volatile std::size_t too_much = static_cast<std::size_t>(-1) / 2;
    EXPECT_EQ(std::realloc(stays, too_much), nullptr);
    return stays;
  });
  const test::read_profile p = read_heap();
  runtime::set_mem_profile_rate(512 << 10);
  EXPECT_EQ(through(p, "may_be_large", inuse_space), 0);
}

[[gnu::noinline]] void* for_a_request(std::size_t bytes) {
  void* block = std::malloc(bytes);
  asm volatile("" : : "r"(block) : "memory");
  return block;
}

TEST(heap_profile, says_on_whose_behalf) {
  runtime::set_mem_profile_rate(1);
  frees_at_once(1, 64 << 20);
  blocks kept(6);
  run([&] {
    wait_group all;
    for (std::size_t i = 0; i < kept.size(); ++i) {
      all.go([&, i] {
        frees_at_once(1, 64 << 20);
        const char* endpoint = i % 3 == 0 ? "/buy" : "/pay";
        pprof::with_labels(pprof::labels("endpoint", endpoint, "bytes", "the program's own"),
                           [&] { kept[i] = for_a_request(300); });
      });
    }
    all.wait();
  });
  runtime::set_mem_profile_rate(0);
  for (const char* name : {"heap", "allocs"}) {
    std::map<std::string, std::int64_t> bytes;
    for (const auto& each : read_heap(name).samples) {
      if (each.functions().find("for_a_request") == std::string::npos) continue;
      EXPECT_EQ(each.numbers.at("bytes"), 300);
      ASSERT_TRUE(each.labels.contains("endpoint"));
      bytes[each.labels.at("endpoint")] += each.values[inuse_space];
    }
    EXPECT_EQ(bytes["/buy"], 2 * 300);
    EXPECT_EQ(bytes["/pay"], 4 * 300);
  }
  for (void* each : kept) std::free(each);
  runtime::set_mem_profile_rate(512 << 10);
}

[[gnu::noinline]] void* allocates_for_others(std::size_t bytes, std::size_t then_bytes) {
  void* block = std::malloc(bytes);
  return then_bytes == 0 ? block : std::realloc(block, then_bytes);
}

TEST(heap_profile, threads_and_goroutines_free_what_others_have_allocated) {
  runtime::set_mem_profile_rate(2048);
  run([] {
    wait_group all;
    chan<void*> blocks_to_free = make_chan<void*>(64);
    for (int g = 0; g < 3; ++g) {
      all.go([&blocks_to_free, g] {
        std::mt19937_64 random(test::seed() + static_cast<unsigned>(g));
        for (int i = 0; i < 3000; ++i) {
          const std::size_t then_bytes = random() % 4 == 0 ? 1 + random() % 9000 : 0;
          blocks_to_free.send(allocates_for_others(random() % 5000, then_bytes));
        }
      });
    }
    std::thread other([&] {
      for (int i = 0; i < 4500; ++i) std::free(*blocks_to_free.recv());
    });
    for (int i = 0; i < 4500; ++i) std::free(*blocks_to_free.recv());
    all.wait();
    other.join();
  });
  const test::read_profile p = read_heap();
  for (const auto& each : p.samples) {
    EXPECT_GE(each.values[inuse_objects], 0);
    EXPECT_GE(each.values[alloc_objects], each.values[inuse_objects]);
  }
  EXPECT_EQ(through(p, "allocates_for_others", inuse_space), 0);
  EXPECT_GT(through(p, "allocates_for_others", alloc_space), 10 << 20);
  runtime::set_mem_profile_rate(512 << 10);
}

// "name = number", below the profile.
std::int64_t stat(const std::string& text, const std::string& name) {
  const std::string line = "\n# " + name + " = ";
  const std::size_t at = text.find(line);
  return at == text.npos ? -1 : std::strtoll(text.c_str() + at + line.size(), nullptr, 10);
}

TEST(heap_profile, as_text_it_ends_with_gos_memory_statistics) {
  std::string text;
  constexpr std::size_t block_bytes = std::size_t{64} << 20;
  const std::unique_ptr<char[]> block = std::make_unique<char[]>(block_bytes);
  std::memset(block.get(), 1, block_bytes);
  run([&] { pprof::lookup("heap")->write_to([&](std::string_view piece) { text += piece; }, 1); });
  const std::size_t begin = text.find("\n\n# runtime.MemStats\n");
  ASSERT_NE(begin, text.npos) << text.substr(0, 2000);
  std::istringstream lines(text.substr(begin + 2));
  std::vector<std::string> names;
  for (std::string line; std::getline(lines, line);)
    names.push_back(line.substr(0, line.find(" =")));
  // All that Go prints, in Go's order.
  EXPECT_THAT(names, testing::ElementsAre(
                         "# runtime.MemStats", "# Alloc", "# TotalAlloc", "# Sys", "# Lookups",
                         "# Mallocs", "# Frees", "# HeapAlloc", "# HeapSys", "# HeapIdle",
                         "# HeapInuse", "# HeapReleased", "# HeapObjects", "# Stack", "# MSpan",
                         "# MCache", "# BuckHashSys", "# GCSys", "# OtherSys", "# NextGC",
                         "# LastGC", "# PauseNs", "# PauseEnd", "# NumGC", "# NumForcedGC",
                         "# GCCPUFraction", "# DebugGC", "# MaxRSS"));
  const auto block_size = static_cast<std::int64_t>(block_bytes);
  for (const char* name : {"HeapAlloc", "Alloc", "HeapInuse", "HeapSys", "Sys", "MaxRSS"})
    EXPECT_GE(stat(text, name), block_size) << name;
  EXPECT_GT(stat(text, "Stack"), 0);
  EXPECT_THAT(text, testing::ContainsRegex("\n# Stack = [0-9]+ / [0-9]+\n"));
  EXPECT_EQ(stat(text, "NumGC"), 0);
}

}  // namespace
}  // namespace gort
