// What the tests of stack overflows share: code that overflows, and what the report must say.
#pragma once

#include <cstdint>
#include <cstdio>
#include <regex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/sanitizer.hpp"
#include "support/program.hpp"

namespace gort::test {

inline constexpr std::size_t default_limit = base::with_asan ? 1 << 20 : 192 << 10;

// Not a tail call, and nothing that a compiler could turn into a loop.
[[gnu::noinline]] inline int falls(int n) {
  volatile char frame[512];
  frame[0] = static_cast<char>(n);
  const int below = n == -1 ? 0 : falls(n + 1);
  return below + frame[0];
}
[[gnu::noinline]] inline void sets_out() { std::printf("%d\n", falls(0)); }

inline std::string limit_line(std::size_t bytes) {
  return "runtime: goroutine stack exceeds " + std::to_string(bytes) + "-byte limit\n";
}

inline void expect_report(const ended& p, std::size_t limit) {
  EXPECT_EQ(p.status, 2) << p.head();
  EXPECT_TRUE(p.has(limit_line(limit) + "runtime: sp=0x")) << p.head();
  EXPECT_TRUE(p.has("\nfatal error: stack overflow\n\ngoroutine ")) << p.head();
  EXPECT_TRUE(p.has(" frames elided...\n")) << p.head();
  // Names stay mangled under ThreadSanitizer.
  EXPECT_GE(p.count(base::with_tsan ? "5fallsEi(...)\n" : "falls(...)\n"), 50) << p.head();
  EXPECT_TRUE(p.has(base::with_tsan ? "8sets_outEv(...)\n" : "sets_out(...)\n"))
      << "the outermost frames\n"
      << p.head();
  EXPECT_FALSE(p.has("gort::report::")) << "not the handler's\n" << p.head();
}

// Of the text: sp, low, high of the line that says so.
inline std::vector<std::uint64_t> addresses(const ended& p) {
  const std::regex line(R"(runtime: sp=0x([0-9a-f]+) stack=\[0x([0-9a-f]+), 0x([0-9a-f]+)\]\n)");
  std::smatch m;
  std::vector<std::uint64_t> out;
  if (std::regex_search(p.text, m, line))
    for (std::size_t i = 1; i <= 3; ++i) out.push_back(std::stoull(m[i], nullptr, 16));
  return out;
}

}  // namespace gort::test
