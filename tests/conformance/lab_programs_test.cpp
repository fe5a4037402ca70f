// The exercises' own programs, one round each: they run, the lab finds a measurement in what they
// print, and what does not depend on time is as their pages say. Whether a target is met is not
// asserted where it is one of time.
#include <unistd.h>
#include <fstream>
#include <iterator>
#include <string>

#include <gtest/gtest.h>

#include "support/go_trace.hpp"
#include "support/program.hpp"
#include "support/skip.hpp"

namespace {

using gort::test::ended;

ended run_exercise(int number) {
  return gort::test::run_shell("timeout -s KILL 120 " GORT_BINARY_DIR "/gort lab run " +
                               std::to_string(number) + " --rounds 1 --wait 0");
}

// Met or not, but measured.
void expect_verdict(const ended& got) {
  EXPECT_TRUE(got.status == 0 || got.status == 1) << got.status << "\n" << got.head();
  EXPECT_EQ(got.count("\n  measured: "), 1) << got.head();
  EXPECT_TRUE(got.has(got.status != 0 ? "; NOT met\n" : "; met\n") || got.has("; small here\n"))
      << got.head();
}

TEST(lab_programs, exercise_1_right_size_gomaxprocs) {
  const ended got = run_exercise(1);
  if (got.status == 77) GORT_SKIP(got.text);
  expect_verdict(got);
  EXPECT_TRUE(got.has("gort's default")) << got.head();
}

TEST(lab_programs, exercise_2_yield_in_a_hot_loop) { expect_verdict(run_exercise(2)); }

TEST(lab_programs, exercise_3_the_stops_of_the_world_are_gone) {
  const ended got = run_exercise(3);
  EXPECT_EQ(got.status, 0) << got.head();
  EXPECT_TRUE(got.has(" stops, then 0;")) << got.head();
}

TEST(lab_programs, exercise_5_the_profile_is_sliced_by_endpoint_and_method) {
  const ended got = run_exercise(5);
  if (got.status == 77) GORT_SKIP(got.text);
  EXPECT_EQ(got.status, 0) << got.head();
  EXPECT_TRUE(got.has("measured: 0%, then ")) << got.head();
}

TEST(lab_programs, exercise_7_bounded_pool) {
  const ended got = run_exercise(7);
  expect_verdict(got);
  EXPECT_TRUE(got.has("errgroup: ")) << got.head();
}

TEST(lab_programs, exercise_8_dozens_of_metrics_and_no_stop) {
  const ended got = run_exercise(8);
  if (got.status == 77) GORT_SKIP(got.text);
  EXPECT_EQ(got.status, 0) << got.head();
  EXPECT_TRUE(got.has("measured: 1, then ")) << got.head();
  EXPECT_TRUE(got.has(", and 0 times by the collector\n")) << got.head();
}

TEST(lab_programs, exercise_9_a_malformed_document_dies_with_the_report_and_good_ones_are_parsed) {
  const ended got = run_exercise(9);
  expect_verdict(got);
  EXPECT_TRUE(got.has("overflowed its stack\n    fatal error: stack overflow\n")) << got.head();
  EXPECT_TRUE(got.has("; all 29 were parsed\n")) << got.head();
}

TEST(lab_programs, exercise_10_the_profile_is_there_on_demand) {
  const ended got = run_exercise(10);
  if (got.status == 77) GORT_SKIP(got.text);
  expect_verdict(got);
  EXPECT_TRUE(got.has("between enable and disable the profile named the function")) << got.head();
}

TEST(lab_programs, exercise_12_log_lines_match_the_profile) {
  const ended got = run_exercise(12);
  if (got.status == 77) GORT_SKIP(got.text);
  EXPECT_EQ(got.status, 0) << got.head();
  EXPECT_TRUE(got.has("measured: 0, then 6 of 6;")) << got.head();
}

TEST(lab_programs, exercise_14_the_leak_is_found_and_its_repair_passes) {
  const ended got = run_exercise(14);
  EXPECT_EQ(got.status, 0) << got.head();
  EXPECT_TRUE(got.has("measured: 2 found, then 0;")) << got.head();
}

TEST(lab_programs, exercise_15_a_storm_of_goroutines) {
  const ended got = run_exercise(15);
  expect_verdict(got);
  EXPECT_TRUE(got.has(" ms, then ")) << got.head();
}

// Who has started them stands in the trace that the program writes.
TEST(lab_programs, exercise_15_the_trace_tells_the_creation_site) {
  const std::string program = GORT_BINARY_DIR "/15_trace_the_storm_before";
  if (access(program.c_str(), X_OK) != 0) GORT_SKIP("the exercises are not part of this build");
  const std::string path = "/tmp/gort-storm-" + std::to_string(getpid());
  const ended got = gort::test::run_shell("timeout -s KILL 120 " + program + " " + path);
  EXPECT_EQ(got.status, 0) << got.head();
  std::ifstream file(path, std::ios::binary);
  const std::string trace{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::remove(path.c_str());
  gort::test::go_trace_summary seen;
  EXPECT_EQ(gort::test::go_trace_reader::error_of(trace, &seen), "");
  std::size_t by_the_batch = 0;
  for (const gort::test::trace_line& e : seen.events) {
    constexpr std::uint64_t go_create = 14;
    if (e.type != go_create) continue;
    bool there = false;
    for (const auto& stack : e.stacks)
      for (const std::string& function : stack)
        there = there || function.find("start_the_batch") != std::string::npos;
    by_the_batch += there;
  }
  EXPECT_GE(by_the_batch, 20'000u);
}

}  // namespace
