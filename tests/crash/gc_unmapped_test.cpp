// Memory that is gone with a gc::ptr in it whose destructor has not run: the process ends with a
// fault in the collector, and says why. The programs are the disabled tests below.
#include <gort/gc.hpp>

#include <sys/mman.h>

#include <cstdlib>
#include <new>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include <gort/go.hpp>
#include <gort/runtime.hpp>

#include "base/sanitizer.hpp"
#include "support/program.hpp"

namespace gort {
namespace {

constexpr std::size_t mapping_bytes = 1 << 20;
constexpr int sigsegv_status = 128 + 11;

void loses_a_mapping() {
  runtime::gc();  // so that no thread is made afterwards, whose stack might take its place
  void* at =
      mmap(nullptr, mapping_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) std::abort();
  ::new (at) gc::ptr<int>(gc::make<int>(1));
  munmap(at, mapping_bytes);
  runtime::gc();
}

TEST(program, DISABLED_loses_a_mapping) { run(loses_a_mapping); }

TEST(program, DISABLED_loses_a_mapping_on_a_plain_thread) { std::thread(loses_a_mapping).join(); }

TEST(program, DISABLED_faults_elsewhere) {
  run([] {
    runtime::gc();
    void* at = mmap(nullptr, mapping_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *static_cast<volatile char*>(at) = 1;
  });
}

TEST(gc_unmapped, the_program_is_told_which_pointer_it_was) {
  if (base::with_asan || base::with_tsan) return;  // which report faults themselves
  for (const char* name : {"loses_a_mapping", "loses_a_mapping_on_a_plain_thread"}) {
    const auto out = test::run_program(name);
    EXPECT_EQ(out.status, sigsegv_status) << out.head();
    EXPECT_EQ(out.count("gort: the collector reads the gc::ptr at 0x"), 1) << out.head();
  }
}

TEST(gc_unmapped, other_faults_are_none_of_its_business) {
  if (base::with_asan || base::with_tsan) return;  // which report faults themselves
  const auto out = test::run_program("faults_elsewhere");
  EXPECT_EQ(out.status, sigsegv_status) << out.head();
  EXPECT_FALSE(out.has("the collector reads")) << out.head();
}

}  // namespace
}  // namespace gort
