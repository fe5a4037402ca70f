// The lab: runs the guide's exercises and says what was measured against what the guide asks for.
#pragma once

#include <filesystem>

namespace tool {

struct lab_options {
  std::filesystem::path programs;  // where the exercises' programs are
  int rounds = 3;
  int wait_seconds = 60;  // at most, before each exercise, for the machine to go quiet
};

// Exit statuses of the command.
inline constexpr int status_met = 0;  // or the exercise's problem is small here
inline constexpr int status_not_met = 1;
inline constexpr int status_failed = 2;    // a program is missing, crashed, or said nothing
inline constexpr int status_skipped = 77;  // the machine lacks something

int lab_list();
int lab_run(int number, const lab_options& options);

/// All that exist, then a table. "small here" is said where the target asks for more than there is
/// to win with gort, whatever one does; Go's figures stand beside where Go is at hand. NOT met and
/// SKIPPED do not fail it, unless `strict`.
int lab_table(const lab_options& options, bool strict);

}  // namespace tool
