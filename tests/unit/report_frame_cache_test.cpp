// What a dump remembers of code addresses.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "report/frame_cache.hpp"

namespace gort::report {
namespace {

const void* at(std::uintptr_t address) { return reinterpret_cast<const void*>(address); }

// As on the stacks of many goroutines that wait at one place: a few addresses, again and again.
TEST(frame_cache, a_few_addresses_are_looked_up_once_wherever_they_are) {
  constexpr std::uintptr_t first = 0x555555554000;
  const auto cache = std::make_unique<frame_cache>();
  for (std::uintptr_t distance = 1; distance < 5000; ++distance) {
    cache->clear();
    int looked_up = 0;
    for (int round = 0; round < 3; ++round) {
      for (const std::uintptr_t address : {first, first + distance, first + 2 * distance}) {
        std::string_view text;
        ASSERT_TRUE(cache->find(
            at(address),
            [&](text_sink& to) {
              ++looked_up;
              to << std::uint64_t{address};
            },
            text));
        ASSERT_EQ(text, std::to_string(address));
      }
    }
    ASSERT_EQ(looked_up, 3) << distance;
  }
}

TEST(frame_cache, what_is_too_long_is_not_remembered) {
  const auto cache = std::make_unique<frame_cache>();
  cache->clear();
  const std::string longer(frame_cache::text_bytes_max, 'x');
  std::string_view text;
  for (int round = 0; round < 2; ++round)
    EXPECT_FALSE(cache->find(
        at(1), [&](text_sink& to) { to << longer; }, text));
  EXPECT_TRUE(cache->find(
      at(1), [](text_sink& to) { to << "short"; }, text));
  EXPECT_EQ(text, "short");
}

}  // namespace
}  // namespace gort::report
