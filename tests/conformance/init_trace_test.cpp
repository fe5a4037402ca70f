// GODEBUG=inittrace=1: a line for each part of the start, in Go's form.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <regex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gort/go.hpp>

#include "base/sanitizer.hpp"
#include "support/program.hpp"

namespace gort {
namespace {

constexpr std::size_t large_bytes = std::size_t{3} << 20;

// What the program's own line must show.
struct large {
  std::unique_ptr<char[]> memory;
  large() {
    if (std::getenv("GORT_TEST_LARGE") == nullptr) return;
    memory = std::make_unique<char[]>(large_bytes);
    std::memset(memory.get(), 1, large_bytes);
  }
} static_object;

TEST(program, DISABLED_starts) {
  run([] {});
}

struct line {
  std::string what;
  double at_ms, clock_ms;
  std::uint64_t bytes;
};

std::vector<line> lines_of(const std::string& text) {
  static const std::regex form(
      R"((?:^|\n)init (\S+) @(\d+|\d\.\d{1,3}) ms, )"
      R"((\d+|\d\.\d{1,3}) ms clock, (\d+) bytes, \? allocs(?=\n))");
  std::vector<line> out;
  for (std::sregex_iterator at(text.begin(), text.end(), form), end; at != end; ++at) {
    const std::smatch& m = *at;
    out.push_back({m[1], std::stod(m[2]), std::stod(m[3]), std::stoull(m[4])});
  }
  return out;
}

TEST(init_trace, tells_each_part_of_the_start) {
  const test::ended it = test::run_program("starts", "GORT_TEST_LARGE=1 GODEBUG=inittrace=1");
  EXPECT_EQ(it.status, 0);
  const std::vector<line> lines = lines_of(it.text);
  std::vector<std::string> names;
  for (const line& each : lines) names.push_back(each.what);
  EXPECT_EQ(names, (std::vector<std::string>{"program", "gort/procs", "gort/reports", "gort/end",
                                             "gort/preemption", "gort/threads", "gort"}))
      << it.head();
  if (names.size() != 7) return;
  EXPECT_EQ(it.count("\ninit ") + (it.text.starts_with("init ") ? 1 : 0), 7) << it.head();
  EXPECT_EQ(lines[0].at_ms, 0);
  EXPECT_GT(lines[0].clock_ms, 0);
  EXPECT_GE(lines[0].bytes, large_bytes);
  // A part begins after what came before it, and the whole takes as long as all of them at least.
  double parts_ms = 0;
  for (std::size_t i = 1; i < 6; ++i) {
    EXPECT_GE(lines[i].at_ms, lines[i - 1].at_ms) << names[i];
    EXPECT_LT(lines[i].bytes, large_bytes) << names[i];
    parts_ms += lines[i].clock_ms;
  }
  EXPECT_LE(lines[6].at_ms, lines[1].at_ms);
  EXPECT_GE(lines[6].clock_ms * 1.1 + 1, parts_ms);  // digits are cut off
  EXPECT_GT(lines[1].bytes, 0u) << "Ps are allocated";
}

TEST(init_trace, is_silent_unless_asked) {
  const test::ended it = test::run_program("starts", "GODEBUG=inittrace=0");
  EXPECT_EQ(it.status, 0);
  EXPECT_FALSE(it.has("init ")) << it.head();
}

}  // namespace
}  // namespace gort
