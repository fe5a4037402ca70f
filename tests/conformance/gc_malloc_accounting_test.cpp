// gort::malloc_accounting: malloc's bytes count for the memory limit.
#include <malloc.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/gc.hpp>
#include <gort/mutex.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>

#include "gc/control.hpp"
#include "record/malloc_account.hpp"
#include "support/gc_support.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;
using namespace std::chrono_literals;

constexpr std::int64_t mib = std::int64_t{1} << 20;
// What threads may keep back, and what the test itself allocates.
constexpr std::int64_t error = std::int64_t{256} << 10;

std::int64_t counted() { return record::malloc_bytes.bytes(); }
std::int64_t size_of(void* block) {
  return static_cast<std::int64_t>(malloc_usable_size(block) + sizeof(std::size_t));
}

struct limits_kept {
  int percent = debug::set_gc_percent(-1);
  limits_kept() = default;
  limits_kept(const limits_kept&) = delete;
  limits_kept& operator=(const limits_kept&) = delete;
  ~limits_kept() {
    debug::set_memory_limit(INT64_MAX);
    debug::set_gc_percent(percent);
  }
};

TEST(malloc_accounting, counts_what_is_handed_out_and_freed_by_every_way) {
  std::vector<void*> blocks;
  blocks.reserve(100'000);
  const std::int64_t before = counted();
  std::int64_t sum = 0;
  const auto add = [&](void* block) {
    ASSERT_NE(block, nullptr);
    blocks.push_back(block);
    sum += size_of(block);
  };
  for (std::size_t n = 1; n < 300'000; n += n / 3 + 1) {
    for (int i = 0; i < 20; ++i) {
      add(std::malloc(n));
      add(std::calloc(3, n));
      add(std::realloc(nullptr, n));
      add(std::realloc(std::malloc(n), n * 2));
      add(std::realloc(std::calloc(1, n * 3), n));
      add(std::aligned_alloc(64, n / 64 * 64 + 64));
      add(memalign(4096, n));
      void* aligned = nullptr;
      ASSERT_EQ(posix_memalign(&aligned, 256, n), 0);
      add(aligned);
      add(::operator new(n));
    }
  }
  EXPECT_GT(sum, 64 * mib);
  EXPECT_NEAR(static_cast<double>(counted() - before), static_cast<double>(sum), error);
  // What fails changes nothing.
  void* volatile kept = std::malloc(1000);
  sum += size_of(kept);
  volatile std::size_t far_too_much = PTRDIFF_MAX;
  EXPECT_EQ(std::malloc(far_too_much), nullptr);
  EXPECT_EQ(std::realloc(kept, far_too_much), nullptr);
  EXPECT_EQ(std::calloc(far_too_much, 16), nullptr);
  EXPECT_NEAR(static_cast<double>(counted() - before), static_cast<double>(sum), error);
  std::free(kept);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (i % 2 == 0)
      std::free(blocks[i]);
    else
      EXPECT_EQ(std::realloc(blocks[i], 0), nullptr);
  }
  std::free(nullptr);
  EXPECT_NEAR(static_cast<double>(counted() - before), 0, error);
}

TEST(malloc_accounting, what_a_thread_has_kept_back_is_told_at_its_end) {
  void* volatile ballast = std::malloc(64 * mib);  // so that a sum below zero would show
  const std::int64_t before = counted();
  for (int i = 0; i < 500; ++i) {
    std::array<void*, 10> blocks{};
    std::thread([&] {
      for (auto& each : blocks) each = std::malloc(2000);
    }).join();
    for (void* each : blocks) std::free(each);
  }
  // 10 MB have been handed out by one thread and freed by another.
  EXPECT_NEAR(static_cast<double>(counted() - before), 0, error);
  for (int i = 0; i < 500; ++i) {
    std::array<void*, 10> blocks{};
    for (auto& each : blocks) each = std::malloc(2000);
    std::thread([&] {
      for (void* each : blocks) std::free(each);
    }).join();
  }
  EXPECT_NEAR(static_cast<double>(counted() - before), 0, error);
  std::free(ballast);
}

TEST(malloc_accounting, from_many_threads_at_a_time_is_right) {
  const std::int64_t before = counted();
  std::vector<std::thread> threads;
  std::vector<std::vector<void*>> blocks(4);
  for (auto& mine : blocks) {
    threads.emplace_back([&mine] {
      for (int round = 0; round < 20; ++round) {
        for (std::size_t i = 0; i < 1000; ++i) mine.push_back(std::malloc(i * 7 + 1));
        for (std::size_t i = 0; i < 900; ++i) {
          std::free(mine.back());
          mine.pop_back();
        }
      }
    });
  }
  for (auto& each : threads) each.join();
  std::int64_t sum = 0;
  for (auto& mine : blocks) {
    sum += size_of(mine.data());
    for (void* each : mine) sum += size_of(each);
  }
  EXPECT_NEAR(static_cast<double>(counted() - before), static_cast<double>(sum), error);
  for (auto& mine : blocks)
    for (void* each : mine) std::free(each);
}

TEST(malloc_accounting, the_limit_sees_it) {
  test::with_procs(2, [] {
    const limits_kept kept;
    runtime::gc();
    debug::set_memory_limit(1024 * mib);
    const std::uint64_t goal = managed::heap_goal();
    const std::size_t before = managed::read_memory_use().total();
    void* volatile block = std::malloc(200 * mib);
    EXPECT_NEAR(static_cast<double>(managed::read_memory_use().total() - before), 200 * mib, mib);
    EXPECT_LE(managed::heap_goal(), goal - 190 * mib);
    std::free(block);
    EXPECT_GE(managed::heap_goal(), goal - 2 * mib);
  });
}

TEST(malloc_accounting, garbage_is_collected_when_malloc_needs_the_memory) {
  test::with_procs(2, [] {
    const limits_kept kept;
    runtime::gc();
    const std::size_t before = managed::read_memory_use().total();
    debug::set_memory_limit(static_cast<std::int64_t>(before) + 256 * mib);
    runtime::gc();
    for (int i = 0; i < 1000; ++i) gc::make_array<char>(100'000)[0] = 1;
    const std::uint32_t cycles = managed::cycles_ended();
    std::vector<std::unique_ptr<char[]>> blocks;
    // 250 MiB by and by. There is no allocation in the managed heap.
    for (int i = 0; i < 250; ++i) blocks.push_back(std::make_unique<char[]>(mib));
    while (managed::cycles_ended() == cycles || managed::bytes_in_use() > 50'000'000)
      gort::sleep(1ms);
    while (managed::read_memory_use().heap_free > 50'000'000) gort::sleep(1ms);
  });
}

TEST(malloc_accounting, a_cache_in_malloc_s_memory_is_told_again_and_again) {
  test::with_procs(2, [] {
    const limits_kept kept;
    runtime::gc();
    gort::mutex lock;
    std::vector<std::unique_ptr<char[]>> cache;
    detail::atomic<int> calls;
    const auto handle = debug::on_memory_pressure([&](const debug::memory_pressure& p) {
      EXPECT_GE(p.used_bytes, p.limit_bytes / 10 * 9 - mib);
      const std::lock_guard guard(lock);
      cache.resize(cache.size() / 2);
      calls.fetch_add_acq_rel(1);
    });
    const std::size_t before = managed::read_memory_use().total();
    const std::size_t limit = before + 100 * mib;
    debug::set_memory_limit(static_cast<std::int64_t>(limit));
    for (int round = 1; round <= 5; ++round) {
      while (calls.load_acquire() < round) {
        {
          const std::lock_guard guard(lock);
          if (managed::read_memory_use().total() < limit) {
            cache.push_back(std::make_unique<char[]>(mib / 4));
            continue;
          }
        }
        gort::sleep(1ms);  // it will come
      }
    }
    EXPECT_LE(managed::read_memory_use().total(), limit);
  });
}

}  // namespace
