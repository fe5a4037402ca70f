// GODEBUG=allocfreetrace=1.
#include <cstdint>
#include <cstdio>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gort/gc.hpp>
#include <gort/runtime.hpp>

#include "record/managed_heap.hpp"
#include "support/gc_support.hpp"
#include "support/program.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;

struct block {
  char is[48];
};

[[gnu::noinline]] void allocates_here(int n) {
  for (int i = 0; i < n; ++i) (void)gc::make<block>();
}

TEST(program, DISABLED_allocates_a_few_and_drops_them) {
  test::with_procs(2, [] {
    const int n = 300;
    test::on_a_stack_of_its_own([] { allocates_here(n); });
    (void)gc::make_array<char>(100'000);
    for (int i = 0; i < 3; ++i) runtime::gc();
    const record::managed_facts facts = record::read_managed_heap();
    std::printf("facts %llu %llu\n", static_cast<unsigned long long>(facts.allocated_objects),
                static_cast<unsigned long long>(facts.freed_objects));
  });
}

TEST(gc_alloc_trace, tells_of_each_object_once) {
  const test::ended run =
      test::run_program("allocates_a_few_and_drops_them", "GODEBUG=allocfreetrace=1");
  ASSERT_EQ(run.status, 0) << run.head();
  unsigned long long allocated = 0, freed = 0;
  const std::size_t facts = run.text.find("facts ");
  ASSERT_NE(facts, std::string::npos) << run.head();
  ASSERT_EQ(std::sscanf(run.text.c_str() + facts, "facts %llu %llu", &allocated, &freed), 2);
  EXPECT_GE(allocated, 301u);
  EXPECT_GT(freed, 250u);
  std::map<std::string, int> alive;
  unsigned long long allocs = 0, frees = 0, of_48 = 0, by_name = 0;
  std::istringstream lines(run.text);
  bool in_48 = false;
  for (std::string line; std::getline(lines, line);) {
    const bool is_alloc = line.starts_with("tracealloc(0x");
    const bool is_free = line.starts_with("tracefree(0x");
    if (line.find("allocates_here") == 0 || line.find("::allocates_here") != line.npos)
      by_name += in_48 ? 1 : 0;
    if (!is_alloc && !is_free) continue;
    const std::string where = line.substr(line.find('(') + 1, line.find(',') - line.find('(') - 1);
    const std::string bytes = line.substr(line.find(',') + 2, line.find(')') - line.find(',') - 2);
    in_48 = is_alloc && bytes == "0x30";
    of_48 += in_48 ? 1 : 0;
    allocs += is_alloc ? 1 : 0;
    frees += is_free ? 1 : 0;
    int& count = alive[where];
    count += is_alloc ? 1 : -1;
    EXPECT_TRUE(count == 0 || count == 1) << line;
    std::string next;
    std::getline(lines, next);
    EXPECT_TRUE(next.starts_with("goroutine ")) << next;
  }
  EXPECT_EQ(allocs, allocated);
  EXPECT_EQ(frees, freed);
  EXPECT_EQ(of_48, 300u);
  EXPECT_EQ(by_name, of_48) << "the stack says who";
}

TEST(gc_alloc_trace, says_nothing_unless_asked_for) {
  const test::ended run = test::run_program("allocates_a_few_and_drops_them", "env -u GODEBUG");
  EXPECT_EQ(run.status, 0) << run.head();
  EXPECT_EQ(run.count("tracealloc"), 0);
  EXPECT_EQ(run.count("tracefree"), 0);
}

}  // namespace
