// GODEBUG=gctrace=1: what is printed, against what the program counted.
#include <cstdint>
#include <cstdio>
#include <regex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gort/gc.hpp>
#include <gort/runtime.hpp>

#include "record/managed_heap.hpp"
#include "support/program.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;

struct node {
  gc::ptr<node> next;
  char rest[120] = {};
};

TEST(program, DISABLED_collects_a_few_times) {
  test::with_procs(2, [] {
    runtime::gc();
    gc::ptr<node> list;
    constexpr int nodes = 100'000, rounds = 30, garbage = 10'000;
    for (int i = 0; i < nodes; ++i) {
      auto longer = gc::make<node>();
      longer->next = std::move(list);
      list = std::move(longer);
    }
    for (int i = 0; i < rounds; ++i) {
      for (int each = 0; each < garbage; ++each) (void)gc::make<node>();
    }
    runtime::gc();
    runtime::gc();
    const record::managed_facts facts = record::read_managed_heap();
    std::printf("facts %llu %llu %llu %llu %llu %llu\n",
                static_cast<unsigned long long>(facts.cycles),
                static_cast<unsigned long long>(facts.forced_cycles),
                static_cast<unsigned long long>(facts.live_bytes),
                static_cast<unsigned long long>(facts.mark_ns),
                static_cast<unsigned long long>(facts.assist_ns),
                static_cast<unsigned long long>(facts.scanned_stack_bytes));
    runtime::keep_alive(list);
  });
}

struct traced {
  long number = 0, at_start = 0, at_end = 0, live = 0, goal = 0, stacks = 0, procs = 0;
  double seconds = 0, clock_ms = 0, assist_ms = 0, mark_ms = 0;
  bool forced = false;
};

std::vector<traced> decode(const std::string& text) {
  const std::regex line(
      R"(gc (\d+) @(\d+\.\d{3})s \d+%: 0\+(\d+(?:\.\d+)?)\+0 ms clock, )"
      R"(0\+(\d+(?:\.\d+)?)/(\d+(?:\.\d+)?)/(?:\d+(?:\.\d+)?)\+0 ms cpu, )"
      R"((\d+)->(\d+)->(\d+) MB, (\d+) MB goal, (\d+) MB stacks, \d+ MB globals, )"
      R"((\d+) P( \(forced\))?\n)");
  std::vector<traced> out;
  for (std::sregex_iterator at(text.begin(), text.end(), line), end; at != end; ++at) {
    const std::smatch& m = *at;
    traced one;
    one.number = std::stol(m[1]);
    one.seconds = std::stod(m[2]);
    one.clock_ms = std::stod(m[3]);
    one.assist_ms = std::stod(m[4]);
    one.mark_ms = std::stod(m[5]);
    one.at_start = std::stol(m[6]);
    one.at_end = std::stol(m[7]);
    one.live = std::stol(m[8]);
    one.goal = std::stol(m[9]);
    one.stacks = std::stol(m[10]);
    one.procs = std::stol(m[11]);
    one.forced = m[12].matched;
    out.push_back(one);
  }
  return out;
}

TEST(gc_trace, a_line_for_each_cycle_says_what_statistics_say) {
  const test::ended run = test::run_program("collects_a_few_times", "GODEBUG=gctrace=1");
  ASSERT_EQ(run.status, 0) << run.head();
  unsigned long long cycles = 0, forced = 0, live = 0, mark_ns = 0, assist_ns = 0, stacks = 0;
  const std::size_t facts = run.text.find("facts ");
  ASSERT_NE(facts, std::string::npos) << run.head();
  ASSERT_EQ(std::sscanf(run.text.c_str() + facts, "facts %llu %llu %llu %llu %llu %llu", &cycles,
                        &forced, &live, &mark_ns, &assist_ns, &stacks),
            6);
  const std::vector<traced> lines = decode(run.text);
  ASSERT_EQ(lines.size(), cycles) << run.head();
  EXPECT_EQ(run.count("gc "), static_cast<long>(cycles)) << "a line that nobody can read";
  EXPECT_EQ(forced, 3u);
  EXPECT_GT(cycles, forced);
  unsigned long long forced_lines = 0;
  double mark_ms = 0, assist_ms = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const traced& each = lines[i];
    EXPECT_EQ(each.number, static_cast<long>(i) + 1);
    EXPECT_TRUE(i == 0 || each.seconds >= lines[i - 1].seconds);
    EXPECT_EQ(each.procs, 2);
    EXPECT_GE(each.at_end, each.at_start);
    EXPECT_GE(each.goal, 4);
    forced_lines += each.forced ? 1 : 0;
    mark_ms += each.mark_ms;
    assist_ms += each.assist_ms;
  }
  EXPECT_EQ(forced_lines, forced);
  EXPECT_TRUE(lines.front().forced);
  EXPECT_TRUE(lines.back().forced);
  EXPECT_EQ(lines.front().at_start, 0);
  EXPECT_EQ(lines.back().live, static_cast<long>(live >> 20));
  EXPECT_GE(lines.back().live, 12);
  EXPECT_EQ(lines.back().stacks, static_cast<long>(stacks >> 20));
  // Two digits of each, cut.
  const double exact_ms = static_cast<double>(mark_ns) / 1e6;
  EXPECT_LE(mark_ms, exact_ms);
  EXPECT_GE(mark_ms, exact_ms * 0.9 - 0.001 * static_cast<double>(cycles));
  EXPECT_LE(assist_ms, static_cast<double>(assist_ns) / 1e6);
}

TEST(gc_trace, nothing_is_printed_unless_asked_for) {
  const test::ended run = test::run_program("collects_a_few_times", "env -u GODEBUG");
  ASSERT_EQ(run.status, 0) << run.head();
  EXPECT_EQ(run.count(" MB goal"), 0);
}

}  // namespace
