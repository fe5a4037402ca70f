// Packs of spawn records: none is lost, none is given out twice, whatever the way they take.
#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "base/xorshift.hpp"
#include "sched/parts/record_packs.hpp"

namespace gort::detail {
namespace {

TEST(record_packs, what_is_packed_comes_out) {
  std::vector<spawn_record> all(pack_max);
  for (std::size_t count = 1; count <= pack_max; ++count) {
    std::vector<spawn_record*> in;
    for (std::size_t i = 0; i < count; ++i) in.push_back(&all[i]);
    spawn_record* out[pack_room];
    ASSERT_EQ(unpack(pack(in.data(), count), out), count);
    EXPECT_EQ(std::set(out, out + count), std::set(in.begin(), in.end()));
  }
}

TEST(record_packs, all_are_somewhere_at_any_time) {
  constexpr std::size_t count = 1000;
  std::vector<spawn_record> all(count);
  std::vector<spawn_record*> held;
  for (spawn_record& each : all) held.push_back(&each);
  record_packs shared;
  std::uint64_t random = 7;
  std::size_t longest = 0;
  const auto roll = [&](std::size_t n) { return (random = base::xorshift(random)) % n; };
  for (int i = 0; i < 100'000; ++i) {
    switch (roll(4)) {
      case 0:
        if (!held.empty()) {
          shared.push_one(held.back());
          held.pop_back();
        }
        break;
      case 1:
        if (spawn_record* one = shared.pop_one(); one != nullptr) held.push_back(one);
        break;
      case 2: {
        const std::size_t some = std::min(held.size(), 1 + roll(pack_max));
        if (some == 0) break;
        record_bundle* made = pack(held.data() + held.size() - some, some);
        held.resize(held.size() - some);
        shared.push(made);
        break;
      }
      default:
        if (record_bundle* one = shared.pop(); one != nullptr) {
          spawn_record* out[pack_room];
          const std::size_t some = unpack(one, out);
          longest = std::max(longest, some);
          held.insert(held.end(), out, out + some);
        }
    }
  }
  EXPECT_GT(longest, pack_max);
  while (spawn_record* one = shared.pop_one()) held.push_back(one);
  EXPECT_EQ(held.size(), count);
  EXPECT_EQ(std::set(held.begin(), held.end()).size(), count);
}

}  // namespace
}  // namespace gort::detail
