// gort::malloc_accounting and gort::malloc_profile in one program.
#include <malloc.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gort/pprof.hpp>
#include <gort/runtime.hpp>

#include "record/malloc_account.hpp"
#include "support/profile_reader.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;

[[gnu::noinline]] void keeps(std::vector<void*>& to, int count, std::size_t bytes) {
  for (int i = 0; i < count; ++i) to.push_back(std::malloc(bytes));
}

std::int64_t in_use_by(const std::string& function) {
  std::string bytes;
  pprof::lookup("heap")->write_to([&](std::string_view piece) { bytes += piece; });
  constexpr std::size_t inuse_space = 3;
  std::int64_t sum = 0;
  for (const auto& each : test::profile_reader::read(test::gunzip(bytes)).samples)
    if (each.functions().find(function) != std::string::npos) sum += each.values.at(inuse_space);
  return sum;
}

TEST(malloc_both, sampled_blocks_are_counted_as_the_others) {
  test::with_procs(2, [] {
    std::vector<void*> blocks;
    constexpr int count = 2000;
    blocks.reserve(3 * count);
    (void)in_use_by("keeps");  // what a report keeps, for the next, is there before it is counted
    for (const std::int64_t rate : {1, 4096}) {
      const std::int64_t rate_before = runtime::set_mem_profile_rate(rate);
      void* volatile large = std::malloc(64 << 20);  // the countdown of the old rate ends
      std::free(large);
      const std::int64_t before = record::malloc_bytes.bytes();
      keeps(blocks, count, 3000);
      for (int i = 0; i < count; i += 2)
        blocks[static_cast<std::size_t>(i)] =
            std::realloc(blocks[static_cast<std::size_t>(i)], 9000);
      std::int64_t sum = 0;
      for (void* each : blocks) sum += static_cast<std::int64_t>(malloc_usable_size(each) + 8);
      constexpr double error = 128 << 10;
      EXPECT_NEAR(static_cast<double>(record::malloc_bytes.bytes() - before),
                  static_cast<double>(sum), error);
      if (rate == 1) {
        EXPECT_EQ(in_use_by("keeps"), std::int64_t{count} / 2 * 3000);
      }
      for (void* each : blocks) std::free(each);
      blocks.clear();
      EXPECT_NEAR(static_cast<double>(record::malloc_bytes.bytes() - before), 0, error);
      runtime::set_mem_profile_rate(rate_before);
    }
  });
}

}  // namespace
