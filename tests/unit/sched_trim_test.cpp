// Trimming a stack: what lies below goes, what is in use stays.
#include <sys/mman.h>
#include <cstdint>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include <gort/go.hpp>
#include <gort/wait_group.hpp>

#include "base/sanitizer.hpp"
#include "os/memory.hpp"
#include "sched/gmp/inspect.hpp"
#include "sched/stacks/trim.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

/// Pages of the calling goroutine's stack that are in memory.
int resident_pages() {
  const sched::goroutine_view self = sched::current_goroutine();
  const auto low = reinterpret_cast<std::uintptr_t>(self.stack_low);
  const auto high = reinterpret_cast<std::uintptr_t>(self.stack_high);
  std::vector<unsigned char> there((high - low + os::page_bytes - 1) / os::page_bytes);
  if (mincore(reinterpret_cast<void*>(low), high - low, there.data()) != 0) return -1;
  int count = 0;
  for (const unsigned char page : there) count += page & 1;
  return count;
}

[[gnu::noinline]] void use_deeply() {
  char deep[64 * 1024];
  std::memset(deep, 'x', sizeof(deep));
  asm volatile("" : : "r"(deep) : "memory");
}

TEST(sched_trim, gives_back_what_is_not_in_use) {
  GORT_NOT_UNDER(base::with_asan || base::with_tsan, "it does nothing then");
  test::with_procs(1, [] {
    wait_group done;
    done.go([] {
      char in_use[8 * 1024];
      std::memset(in_use, 'y', sizeof(in_use));
      asm volatile("" : : "r"(in_use) : "memory");
      for (int round = 0; round < 3; ++round) {
        use_deeply();
        const int before = resident_pages();
        ASSERT_GE(before, 16);
        sched::trim_stack();
        EXPECT_LE(resident_pages(), before - 14);
        EXPECT_GE(resident_pages(), 2) << "in_use lies there";
      }
      for (const char c : in_use) ASSERT_EQ(c, 'y');
    });
    done.wait();
  });
}

TEST(sched_trim, does_nothing_on_a_plain_thread) { sched::trim_stack(); }

}  // namespace
}  // namespace gort
