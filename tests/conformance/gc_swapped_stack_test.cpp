// Pages of stacks that the system has swapped out are scanned too, also where /proc cannot tell of
// them: a process that is out of descriptors, or may not read its own /proc (one with capabilities
// of its file), asks mincore(2), which takes them for pages that nobody has touched.
#include <gort/gc.hpp>

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>

#include "support/gc_support.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;

enum class system_is : int { as_it_is, swapping, refusing };
detail::atomic<system_is> pretended{system_is::as_it_is};

}  // namespace

// In place of the C library's.
extern "C" {

int mincore(void*, std::size_t bytes, unsigned char* to) noexcept {
  if (pretended.load_acquire() == system_is::refusing) return -1;
  constexpr std::size_t page = 4096;
  std::memset(to, 0, (bytes + page - 1) / page);
  return 0;
}

int sysinfo(struct sysinfo* to) noexcept {
  if (pretended.load_acquire() == system_is::refusing) return -1;
  *to = {};
  to->totalswap = 1 << 20;
  to->mem_unit = 1;
  return 0;
}

}  // extern "C"

namespace {

// As long as this is there no file can be opened.
struct out_of_descriptors {
  rlimit before{};
  out_of_descriptors() {
    getrlimit(RLIMIT_NOFILE, &before);
    rlimit none = before;
    none.rlim_cur = 0;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  }
  out_of_descriptors(const out_of_descriptors&) = delete;
  out_of_descriptors& operator=(const out_of_descriptors&) = delete;
  ~out_of_descriptors() { setrlimit(RLIMIT_NOFILE, &before); }
};

[[gnu::noinline]] void sleep_with_an_object(chan<gc::weak<test::counted>> told, int until) {
  const auto mine = gc::make<test::counted>(1);
  told.send(gc::weak<test::counted>(mine));
  char byte;
  EXPECT_EQ(read(until, &byte, 1), 1);  // in place: its stack is scanned by pages
  EXPECT_EQ(mine->canary, test::counted::alive);
}

[[gnu::noinline]] void sleep_deeper(const chan<gc::weak<test::counted>>& told, int until) {
  volatile char pages[16 << 10];
  pages[0] = 1;
  sleep_with_an_object(told, until);
  pages[1] = pages[0];
}

void collect_beside_a_sleeper(system_is how) {
  test::with_procs(2, [how] {
    const test::gogc_off kept;
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    auto told = make_chan<gc::weak<test::counted>>(1);
    auto wait = test::on_a_goroutine([told, from = ends[0]] { sleep_deeper(told, from); });
    const gc::weak<test::counted> seen = *told.recv();
    {
      const out_of_descriptors now;
      pretended.store_release(how);
      for (int i = 0; i < 3; ++i) runtime::gc();
      pretended.store_release(system_is::as_it_is);
    }
    EXPECT_TRUE(seen.lock());
    EXPECT_EQ(write(ends[1], "", 1), 1);
    wait();
    close(ends[0]);
    close(ends[1]);
  });
}

TEST(gc_swapped_stack, what_was_swapped_out_is_scanned) {
  collect_beside_a_sleeper(system_is::swapping);
}

TEST(gc_swapped_stack, where_nobody_tells_all_is_scanned) {
  collect_beside_a_sleeper(system_is::refusing);
}

}  // namespace
