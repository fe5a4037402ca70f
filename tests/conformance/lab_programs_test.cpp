// The exercises' own programs, one round each: they run, the lab finds a measurement in what they
// print, and what does not depend on time is as their pages say. Whether a target is met is not
// asserted where it is one of time.
#include <gtest/gtest.h>

#include <string>

#include "support/program.hpp"
#include "support/skip.hpp"

namespace {

using gort::test::ended;

ended run_exercise(int number) {
  return gort::test::run_shell("timeout -s KILL 120 " GORT_BINARY_DIR "/gort lab run " +
                               std::to_string(number) + " --rounds 1");
}

// Met or not, but measured.
void expect_verdict(const ended& got) {
  EXPECT_TRUE(got.status == 0 || got.status == 1) << got.status << "\n" << got.head();
  EXPECT_EQ(got.count("\n  measured: "), 1) << got.head();
  EXPECT_TRUE(got.has(got.status == 0 ? "; met\n" : "; NOT met\n")) << got.head();
}

TEST(lab_programs, exercise_1_right_size_gomaxprocs) {
  const ended got = run_exercise(1);
  if (got.status == 77) GORT_SKIP(got.text);
  expect_verdict(got);
  EXPECT_TRUE(got.has("gort's default")) << got.head();
}

TEST(lab_programs, exercise_2_yield_in_a_hot_loop) { expect_verdict(run_exercise(2)); }

TEST(lab_programs, exercise_7_bounded_pool) {
  const ended got = run_exercise(7);
  expect_verdict(got);
  EXPECT_TRUE(got.has("errgroup: ")) << got.head();
}

TEST(lab_programs, exercise_9_a_malformed_document_dies_with_the_report_and_good_ones_are_parsed) {
  const ended got = run_exercise(9);
  expect_verdict(got);
  EXPECT_TRUE(got.has("overflowed its stack\n    fatal error: stack overflow\n")) << got.head();
  EXPECT_TRUE(got.has("; all 29 were parsed\n")) << got.head();
}

TEST(lab_programs, exercise_14_the_leak_is_found_and_its_repair_passes) {
  const ended got = run_exercise(14);
  EXPECT_EQ(got.status, 0) << got.head();
  EXPECT_TRUE(got.has("measured: 2 found, then 0;")) << got.head();
}

}  // namespace
