// The table of who must not call malloc.
#include <limits>

#include <gtest/gtest.h>

#include "report/reserved_table.hpp"

namespace gort::report {
namespace {

TEST(reserved_table, takes_as_many_as_there_is_room_for) {
  reserved_table<int> three;
  ASSERT_TRUE(three.make_room(3));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(three.add(i));
  EXPECT_FALSE(three.add(3));
  EXPECT_EQ(three.size(), 3u);
}

TEST(reserved_table, takes_nothing_where_there_is_no_memory) {
  reserved_table<long> none;
  EXPECT_FALSE(none.make_room(std::numeric_limits<std::size_t>::max() / (2 * sizeof(long))));
  EXPECT_FALSE(none.add(1));
  EXPECT_EQ(none.size(), 0u);
}

}  // namespace
}  // namespace gort::report
