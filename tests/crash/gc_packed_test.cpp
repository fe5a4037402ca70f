// A gc::ptr in a packed struct, where the collector would not find it.
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include <gort/gc.hpp>

#include "support/program.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;

#pragma pack(push, 1)
struct packed {
  char tag = 0;
  gc::ptr<int> to;
};
#pragma pack(pop)

TEST(program, DISABLED_packs) {
  test::with_procs(2, [] { (void)std::make_unique<packed>(); });
}

TEST(gc_packed, ends_the_process_and_says_why) {
  if (alignof(packed) != 1) GTEST_SKIP() << "this compiler does not pack such a struct";
  const test::ended child = test::run_program("packs");
  EXPECT_EQ(child.status, 2) << child.head();
  EXPECT_NE(child.text.find("gort: a gc::ptr at an address that is no multiple of 8"),
            std::string::npos)
      << child.head();
}

}  // namespace
