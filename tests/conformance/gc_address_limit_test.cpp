// Under RLIMIT_AS (ulimit -v) the managed heap takes a share of what there is: it works, and what
// is too much is bad_alloc.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/gc.hpp>
#include <gort/runtime.hpp>

#include "gc/heap.hpp"
#include "support/gc_support.hpp"
#include "support/program.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;

constexpr std::size_t mib = std::size_t{1} << 20;

struct node {
  explicit node(std::uint64_t v) : value(v) {}
  gc::ptr<node> next;
  std::uint64_t value;
  std::uint64_t rest[13] = {};
};

// Many times over what the heap has room for, some of it kept by malloc's memory and by managed.
void use_the_heap() {
  constexpr std::uint64_t rounds = 200'000, kept_each = 100;
  std::vector<gc::ptr<node>> kept;
  gc::ptr<node> list;
  for (std::uint64_t i = 0; i < rounds; ++i) {
    auto made = gc::make<node>(i);
    if (i % kept_each != 0) continue;
    made->next = list;
    list = made;
    kept.push_back(std::move(made));
  }
  for (std::uint64_t i = 0; i < kept.size(); ++i) {
    if (kept[i]->value != i * kept_each) std::abort();
  }
  std::uint64_t count = 0;
  for (auto each = list; each; each = each->next) ++count;
  if (count != kept.size()) std::abort();
}

// Returns how many MiB there was room for.
std::size_t use_all_of_it() {
  std::vector<gc::ptr<char>> all;
  try {
    for (;;) {
      all.push_back(gc::make_array<char>(mib));
      all.back()[0] = 'x';
    }
  } catch (const std::bad_alloc&) {
    return all.size();
  }
}

TEST(program, DISABLED_under_address_limit) {
  std::size_t first = 0, second = 0;
  test::with_procs(2, [&] {
    use_the_heap();
    std::thread(use_the_heap).join();
    test::on_a_stack_of_its_own([&first] { first = use_all_of_it(); });
    test::on_a_stack_of_its_own([] { use_the_heap(); });  // it has been given back
    test::on_a_stack_of_its_own([&second] { second = use_all_of_it(); });
  });
  std::printf("heap %zu MiB, room for %zu MiB, then %zu MiB, done\n",
              managed::heap.page_count * managed::page_bytes / mib, first, second);
}

class gc_address_limit : public testing::TestWithParam<std::size_t> {};

TEST_P(gc_address_limit, works_with_a_smaller_heap_and_ends_with_bad_alloc) {
  const std::size_t limit_mib = GetParam();
  // glibc's malloc takes 64 MiB of addresses for each thread as long as there are any.
  const std::string arenas = limit_mib < 900 ? " MALLOC_ARENA_MAX=1" : "";
  const test::ended child = test::run_program(
      "under_address_limit", "ulimit -v " + std::to_string(limit_mib << 10) + ";" + arenas);
  EXPECT_EQ(child.status, 0) << child.head();
  std::size_t heap = 0, first = 0, second = 0;
  const std::size_t at = child.text.find("heap ");
  ASSERT_NE(at, std::string::npos) << child.head();
  ASSERT_EQ(
      std::sscanf(child.text.c_str() + at, "heap %zu MiB, room for %zu MiB, then %zu MiB, done",
                  &heap, &first, &second),
      3)
      << child.head();
  // Half of what is left by the program, three quarters of that for objects.
  EXPECT_LE(heap, limit_mib * 3 / 8);
  EXPECT_GE(heap, limit_mib / 5);
  EXPECT_GE(first, heap / 2);
  EXPECT_GE(second, heap / 2);
}

INSTANTIATE_TEST_SUITE_P(mib, gc_address_limit, testing::Values(300, 976, 1500),
                         testing::PrintToStringParamName());

}  // namespace
