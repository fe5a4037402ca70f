// A program that links gort::malloc_profile and has an operator new of its own: that one counts.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <string>

#include <gort/pprof.hpp>

namespace {
int news = 0, deletes = 0;
}

// That there are only these two is the point.
#pragma GCC diagnostic ignored "-Wsized-deallocation"

void* operator new(std::size_t bytes) {
  ++news;
  if (void* block = std::malloc(bytes)) return block;
  throw std::bad_alloc();
}
void operator delete(void* block) noexcept {
  ++deletes;
  std::free(block);
}

namespace {

TEST(heap_profile_front, a_programs_own_operator_new_is_taken) {
  EXPECT_NE(gort::pprof::lookup("heap"), nullptr);
  news = deletes = 0;
  ::operator delete(::operator new(10));
  EXPECT_EQ(news, 1);
  EXPECT_EQ(deletes, 1);
  ::operator delete (::operator new(10), std::size_t{10});
  ::operator delete[](::operator new[](10));
  ::operator delete[](::operator new[](10), std::size_t{10});
  EXPECT_EQ(news, 4);
  EXPECT_EQ(deletes, 4);
}

}  // namespace
