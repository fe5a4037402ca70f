// CPUs and a quota to a default GOMAXPROCS, and the facts of this process from /proc.
#include <sched.h>
#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <gort/detail/atomic.hpp>

#include "os/affinity.hpp"
#include "os/cpu_limit.hpp"
#include "os/proc.hpp"
#include "support/skip.hpp"

namespace gort::os {
namespace {

TEST(procs_for, is_gos_table) {
  struct row {
    int cpus;
    double quota;
    int procs;
  };
  constexpr std::array rows{
      row{64, -1, 64}, row{64, 0.5, 2},  row{64, 1, 2},     row{64, 1.9, 2},  row{64, 2, 2},
      row{64, 2.1, 3}, row{64, 2.5, 3},  row{64, 63.5, 64}, row{64, 200, 64}, row{64, 1e18, 64},
      row{2, 0.5, 2},  row{1, 0.5, 1},   row{1, 4, 1},      row{1, -1, 1},    row{3, 2.0001, 3},
      row{64, 0, 64},  row{64, 1e-9, 2},
  };
  for (const row& r : rows)
    EXPECT_EQ(procs_for(r.cpus, r.quota), r.procs) << r.cpus << ' ' << r.quota;
}

TEST(procs_for, grows_with_both_and_stays_between_one_and_the_cpus) {
  for (int cpus = 1; cpus <= 128; ++cpus) {
    int before = 0;
    for (double quota = 0.05; quota < 140; quota += 0.05) {
      const int procs = procs_for(cpus, quota);
      ASSERT_GE(procs, before) << cpus << ' ' << quota;
      ASSERT_GE(procs, std::min(2, cpus));
      ASSERT_LE(procs, cpus);
      ASSERT_GE(procs, std::min(quota, static_cast<double>(cpus)));
      before = procs;
    }
    ASSERT_EQ(before, cpus);
  }
}

TEST(cpus_allowed, follows_the_affinity_mask) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  const int all = CPU_COUNT(&before);
  EXPECT_EQ(cpus_allowed(), all);
  if (all < 2) GORT_SKIP("one CPU is allowed: nothing to take away");
  cpu_set_t one;
  CPU_ZERO(&one);
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(cpus_allowed(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
  EXPECT_EQ(cpus_allowed(), all);
}

TEST(thread_count, counts_the_threads_of_this_process) {
  detail::atomic<int> go_on;
  std::vector<std::thread> threads;
  const auto start_one = [&] {
    threads.emplace_back([&] {
      while (go_on.load_acquire() == 0) std::this_thread::yield();  // pairs with the store below
    });
  };
  EXPECT_GE(thread_count(), 1);
  start_one();  // the first may bring a sanitizer's own with it
  const int before = thread_count();
  for (int i = 1; i <= 5; ++i) {
    start_one();
    EXPECT_EQ(thread_count(), before + i);
  }
  go_on.store_release(1);  // pairs with the loads above
  for (auto& t : threads) t.join();
}

TEST(status_bytes, sees_memory_that_is_touched) {
  const std::int64_t before = status_bytes("VmRSS:");
  ASSERT_GT(before, 0);
  EXPECT_GT(status_bytes("VmPTE:"), 0);
  constexpr std::size_t bytes = 64 << 20;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const std::int64_t grown = status_bytes("VmRSS:") - before;
  munmap(memory, bytes);
  EXPECT_GT(grown, static_cast<std::int64_t>(bytes) / 2);
  EXPECT_LT(grown, static_cast<std::int64_t>(bytes) * 2);
}

TEST(status_bytes, is_negative_for_what_is_not_there) {
  EXPECT_EQ(status_bytes("VmNothing:"), -1);
  EXPECT_EQ(status_bytes("mRSS:"), -1);  // a key is a whole word
}

TEST(status_bytes, is_not_fooled_by_the_name_of_the_process) {
  char before[16] = {};
  prctl(PR_GET_NAME, before);
  prctl(PR_SET_NAME, "VmRSS: 1");
  const std::int64_t rss = status_bytes("VmRSS:");
  prctl(PR_SET_NAME, before);
  EXPECT_GT(rss, 1024);
}

}  // namespace
}  // namespace gort::os
