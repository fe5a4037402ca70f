// The exercises that need memory to themselves, one round each, as lab_programs_test does the
// others: 4 in a control group, where the kernel really kills; 6 with what the machine has.
#include <filesystem>
#include <string>
#include <system_error>

#include <gtest/gtest.h>

#include "support/program.hpp"
#include "support/skip.hpp"

namespace {

namespace fs = std::filesystem;
using gort::test::ended;

// Without Go: its twins take as long again. The first line is the lab's process id.
ended run_exercise(int number) {
  return gort::test::run_shell("echo $$; export PATH=/nowhere GOROOT=; exec " GORT_BINARY_DIR
                               "/gort lab run " +
                               std::to_string(number) + " --rounds 1 --wait 0");
}

bool is_group_left(const std::string& process_id) {
  std::error_code error;
  for (fs::recursive_directory_iterator at("/sys/fs/cgroup", error), end; !error && at != end;
       at.increment(error)) {
    if (at->path().filename() == "gort-lab-" + process_id) return true;
  }
  return false;
}

TEST(lab_heap, exercise_4_what_is_killed_without_a_limit_survives_with_it) {
  const ended got = run_exercise(4);
  if (got.status == 77) GORT_SKIP(got.text);
  EXPECT_EQ(got.status, 0) << got.head();
  EXPECT_TRUE(got.has("memory limit: 1024 MiB and no swap")) << got.head();
  EXPECT_TRUE(got.has("measured: killed, then survived;")) << got.head();
  for (const char* label : {"after", "after touching"})
    EXPECT_TRUE(got.has(std::string("- ") + label + ": went through 10 bursts")) << got.head();
  EXPECT_FALSE(is_group_left(got.text.substr(0, got.text.find('\n'))));
}

TEST(lab_heap, exercise_6_the_search_goes_on_until_it_is_enough_or_there_is_no_more) {
  const ended got = run_exercise(6);
  EXPECT_TRUE(got.status == 0 || got.status == 1) << got.head();
  EXPECT_EQ(got.count("\n  measured: "), 1) << got.head();
  EXPECT_TRUE(got.has("- the search: GOGC=100: ")) << got.head();
  EXPECT_TRUE(got.has("- scale: ")) << got.head();
  EXPECT_TRUE(got.has(", measured again: ")) << got.head();
}

}  // namespace
