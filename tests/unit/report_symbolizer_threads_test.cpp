// Debug information that several threads want to read first.
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "report/dwarf/look_up.hpp"
#include "support/copies/copies.hpp"

namespace {

std::vector<const void*> addresses;

void note(const char*, int, int, int, int) { addresses.push_back(__builtin_return_address(0)); }

std::vector<std::string> lines_of(const void* return_address) {
  std::vector<std::string> out;
  gort::report::dwarf::look_up(
      reinterpret_cast<std::uintptr_t>(return_address) - 1,
      [](const char* function, const char* file, int line, void* to) {
        static_cast<std::vector<std::string>*>(to)->push_back(
            std::string(function == nullptr ? "??" : function) + " " +
            (file == nullptr ? "??" : file) + ":" + std::to_string(line));
      },
      &out);
  return out;
}

TEST(symbolizer_threads, all_find_the_same) {
  copies_of_the_first_unit(note);
  copies_of_the_second_unit(note);
  constexpr std::size_t count = 4;
  std::vector<std::vector<std::string>> found[count];
  std::latch all_there(count);
  std::vector<std::thread> threads;
  for (auto& to : found) {
    threads.emplace_back([&] {
      all_there.arrive_and_wait();
      for (const void* each : addresses) to.push_back(lines_of(each));
    });
  }
  for (std::thread& each : threads) each.join();
  for (const auto& each : found[0]) ASSERT_EQ(each.size(), 2u);
  for (const auto& each : found) EXPECT_EQ(each, found[0]);
}

}  // namespace
