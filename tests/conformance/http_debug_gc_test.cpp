// /debug/pprof/heap?gc=1, of a program that uses the managed heap: after a collection.
#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include <gort/gc.hpp>
#include <gort/runtime.hpp>

#include "support/debug_service.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;

std::uint32_t forced() {
  runtime::mem_stats now;
  runtime::read_mem_stats(now);
  return now.num_forced_gc;
}

TEST(http_debug_gc, a_heap_profile_is_taken_after_a_collection_if_asked_for) {
  test::with_procs(2, [] {
    const auto kept = gc::make_array<char>(1 << 20);
    test::debug_service s;
    const std::uint32_t before = forced();
    for (const char* query : {"debug=1", "debug=1&gc=0"}) {
      EXPECT_EQ(s.ask(std::string("/debug/pprof/heap?") + query).status, 200);
      EXPECT_EQ(forced(), before) << query;
    }
    const auto page = s.ask("/debug/pprof/heap?debug=1&gc=1");
    EXPECT_EQ(page.status, 200);
    EXPECT_EQ(forced(), before + 1);
    EXPECT_NE(page.body.find("\n# NumForcedGC = " + std::to_string(before + 1) + "\n"),
              page.body.npos);
    EXPECT_EQ(s.ask("/debug/pprof/heap?gc=x").status, 400);
    EXPECT_EQ(forced(), before + 1);
    runtime::keep_alive(kept);
  });
}

}  // namespace
