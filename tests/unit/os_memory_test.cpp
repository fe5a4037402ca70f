// Guards: what they cover faults, what they do not cover does not, and a refusal is counted.
#include <unistd.h>
#include <cerrno>

#include <gtest/gtest.h>

#include "os/memory.hpp"

namespace gort::os {
namespace {

constexpr std::size_t stride_bytes = 16 * page_bytes;
constexpr std::size_t guard_bytes = 2 * page_bytes;

// Asks the kernel, which does not die of it.
bool can_be_read(const char* at) {
  int ends[2];
  if (pipe(ends) != 0) return false;
  const ssize_t got = write(ends[1], at, 1);
  const bool faults = got < 0 && errno == EFAULT;
  close(ends[0]);
  close(ends[1]);
  return !faults;
}

TEST(os_memory, many_guards_at_once) {
  constexpr std::size_t slots = 100;  // more than one call takes
  char* const all = static_cast<char*>(reserve(slots * stride_bytes));
  ASSERT_NE(all, nullptr);
  errno = 4711;
  EXPECT_EQ(install_guards(all, stride_bytes, slots - 1, guard_bytes), slots - 1);
  EXPECT_EQ(errno, 4711);
  for (std::size_t i = 0; i < slots; ++i) {
    const char* slot = all + i * stride_bytes;
    const bool guarded = i != slots - 1;
    EXPECT_EQ(can_be_read(slot), !guarded) << i;
    EXPECT_EQ(can_be_read(slot + guard_bytes - 1), !guarded) << i;
    EXPECT_TRUE(can_be_read(slot + guard_bytes)) << i;
    EXPECT_TRUE(can_be_read(slot + stride_bytes - 1)) << i;
  }
  unreserve(all, slots * stride_bytes);
}

TEST(os_memory, guards_are_counted_up_to_the_first_that_is_refused) {
  constexpr std::size_t slots = 10, mapped = 7;
  char* const all = static_cast<char*>(reserve(slots * stride_bytes));
  ASSERT_NE(all, nullptr);
  unreserve(all + mapped * stride_bytes, (slots - mapped) * stride_bytes);
  EXPECT_EQ(install_guards(all, stride_bytes, slots, guard_bytes), mapped);
  EXPECT_EQ(install_guards(all + mapped * stride_bytes, stride_bytes, 2, guard_bytes), 0u);
  EXPECT_EQ(errno, ENOMEM);
  EXPECT_FALSE(can_be_read(all + (mapped - 1) * stride_bytes));
  unreserve(all, mapped * stride_bytes);
}

}  // namespace
}  // namespace gort::os
