// Trimming a stack: what lies below goes, what is in use stays, and what is nobody's stack is not
// touched.
#include <sys/mman.h>
#include <ucontext.h>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include <gort/go.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "base/sanitizer.hpp"
#include "os/memory.hpp"
#include "sched/gmp/inspect.hpp"
#include "sched/stacks/trim.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

// Read once, when the runtime starts: after how many milliseconds sysmon trims who is parked.
[[maybe_unused]] const int short_patience = setenv("GODEBUG", "stackgiveback=1", 0);

// Mapped before any slot, and so above them all: data, and a stack for a coroutine above it.
constexpr std::size_t half_bytes = std::size_t{256} << 10;
char* const mapped = static_cast<char*>(
    mmap(nullptr, 2 * half_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

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

ucontext_t of_goroutine;
ucontext_t of_coroutine;

void on_other_stack() {
  char in_use[1024];
  std::memset(in_use, 'y', sizeof(in_use));
  asm volatile("" : : "r"(in_use) : "memory");
  sched::trim_stack();
  gort::sleep(200ms);
  EXPECT_TRUE(std::ranges::all_of(in_use, [](char c) { return c == 'y'; }));
}

// As libraries of coroutines have them. Red: all that lies between the two stacks is gone.
TEST(sched_trim, leaves_alone_what_lies_between_two_stacks) {
  GORT_NOT_UNDER(base::with_asan || base::with_tsan, "they are not told of such switches");
  ASSERT_NE(mapped, MAP_FAILED);
  const std::span<char> data(mapped, half_bytes);
  std::ranges::fill(data, 'x');
  test::with_procs(1, [&] {
    wait_group done;
    done.go([] {
      getcontext(&of_coroutine);
      of_coroutine.uc_stack.ss_sp = mapped + half_bytes;
      of_coroutine.uc_stack.ss_size = half_bytes;
      of_coroutine.uc_link = &of_goroutine;
      makecontext(&of_coroutine, &on_other_stack, 0);
      swapcontext(&of_goroutine, &of_coroutine);
    });
    done.wait();
  });
  EXPECT_TRUE(std::ranges::all_of(data, [](char c) { return c == 'x'; }));
}

}  // namespace
}  // namespace gort
