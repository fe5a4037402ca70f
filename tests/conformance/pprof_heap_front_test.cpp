// What stands in front of malloc in a program that links gort::malloc_profile: how short it is, and
// that operator new and delete keep their contract.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <gort/pprof.hpp>
#include <gort/runtime.hpp>

#include "arch/one_step.hpp"
#include "support/profile_reader.hpp"
#include "support/program.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

// How many instructions stand in this program's function up to the first that leaves it for good;
// 0: it has none of that name.
long straight_instructions(const std::string& linker_name) {
  char self[4096] = {};
  if (readlink("/proc/self/exe", self, sizeof(self) - 1) <= 0) return 0;
  const test::ended code =
      test::run_shell("objdump --no-show-raw-insn --disassemble=" + linker_name + " " + self +
                      " | sed -n '/^[0-9a-f]* <" + linker_name +
                      ".*>:/,/\\tjmp\\|\\tret/p' | grep -v ' nop\\|<" + linker_name + ".*>:'");
  return code.count("\n");
}

TEST(heap_profile_front, is_a_handful_of_instructions) {
#if !defined(__OPTIMIZE__)
  GORT_SKIP("counted in optimized code only");
#endif
  if (!arch::takes_one_step) GORT_SKIP("counted where gort says how it is to be done");
  if (test::run_shell("command -v objdump").status != 0) GORT_SKIP("no objdump");
  EXPECT_EQ(straight_instructions("malloc"), 4);  // where the countdown is, it, a branch, the jump
  EXPECT_EQ(straight_instructions("free"), 3);
  EXPECT_EQ(straight_instructions("_ZdlPv"), 3);
  EXPECT_EQ(straight_instructions("_ZdlPvm"), 1);
  const long of_new = straight_instructions("_Znwm");
  EXPECT_GT(of_new, 0);
  EXPECT_LE(of_new, 14);
}

int asked = 0;
void* volatile reserve = nullptr;

TEST(heap_profile_front, operator_new_asks_the_handler_until_there_is_memory) {
  volatile std::size_t too_much = static_cast<std::size_t>(-1) / 2;
  EXPECT_THROW(::operator delete(::operator new(too_much)), std::bad_alloc);
  EXPECT_THROW(::operator delete[](::operator new[](too_much)), std::bad_alloc);
  EXPECT_EQ(::operator new(too_much, std::nothrow), nullptr);
  asked = 0;
  std::set_new_handler([] {
    if (++asked == 3) std::set_new_handler(nullptr);
  });
  EXPECT_THROW(::operator delete(::operator new(too_much)), std::bad_alloc);
  EXPECT_EQ(asked, 3);
  struct given_up {};
  std::set_new_handler([] { throw given_up{}; });
  EXPECT_THROW(::operator delete(::operator new(too_much)), given_up);
  std::set_new_handler(nullptr);
  void* none = ::operator new(0);
  EXPECT_NE(none, nullptr);
  ::operator delete(none);
  ::operator delete(nullptr);
}

[[gnu::noinline]] void* by_new(std::size_t bytes) { return ::operator new(bytes); }
[[gnu::noinline]] void* by_array(std::size_t bytes) { return ::operator new[](bytes); }

std::int64_t in_use_by(const std::string& function) {
  std::string bytes;
  pprof::lookup("heap")->write_to([&](std::string_view piece) { bytes += piece; });
  constexpr std::size_t inuse_space = 3;
  std::int64_t sum = 0;
  for (const auto& each : test::profile_reader::read(test::gunzip(bytes)).samples) {
    if (each.functions().find(function) == std::string::npos) continue;
    EXPECT_NE(each.stack.at(0).lines.at(0).function.find(function), std::string::npos)
        << "innermost is who allocates: " << each.functions();
    sum += each.values.at(inuse_space);
  }
  return sum;
}

TEST(heap_profile_front, each_way_to_new_and_delete_counts) {
  const std::int64_t rate = runtime::set_mem_profile_rate(1);
  void* volatile large = std::malloc(64 << 20);  // this thread's countdown ends with it
  std::free(large);
  std::vector<void*> blocks;
  blocks.reserve(10);
  for (int i = 0; i < 5; ++i) blocks.push_back(by_new(100));
  for (int i = 0; i < 5; ++i) blocks.push_back(by_array(100));
  runtime::set_mem_profile_rate(0);
  EXPECT_EQ(in_use_by("by_new"), 500);
  EXPECT_EQ(in_use_by("by_array"), 500);
  ::operator delete(blocks[0]);
  ::operator delete (blocks[1], std::size_t{100});
  std::free(blocks[2]);
  EXPECT_EQ(in_use_by("by_new"), 200);
  ::operator delete[](blocks[5]);
  ::operator delete[](blocks[6], std::size_t{100});
  EXPECT_EQ(in_use_by("by_array"), 300);
  for (const std::size_t i : {3u, 4u}) ::operator delete(blocks[i]);
  for (const std::size_t i : {7u, 8u, 9u}) ::operator delete[](blocks[i]);
  EXPECT_EQ(in_use_by("by_"), 0);
  runtime::set_mem_profile_rate(rate);
}

}  // namespace
}  // namespace gort
