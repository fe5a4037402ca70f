// What stands in front of malloc, linked without gort::malloc_profile: by hand, say, with a line
// that does not ask for it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <thread>

#include <gort/pprof.hpp>
#include <gort/runtime.hpp>

#include "support/pprof_world.hpp"

namespace gort {
namespace {

TEST(malloc_front_alone, makes_no_heap_profile) {
  runtime::set_mem_profile_rate(1);
  std::thread([] {  // which begins with that rate
    for (int i = 0; i < 1000; ++i) {
      void* volatile block = std::malloc(100);
      std::free(block);
    }
  })
      .join();
  const std::string profile = test::written("heap", 1);
  EXPECT_EQ(profile.substr(0, profile.find(" @")), "heap profile: 0: 0 [1: 0]");  // of none
  runtime::set_mem_profile_rate(0);
}

}  // namespace
}  // namespace gort
