// The guide's exercises that exist so far: what is run, what the guide asks for, what is said about
// the result. Data, and the judgement of each.
#pragma once

#include <string>
#include <vector>

#include "lab_cgroup.hpp"
#include "measurement.hpp"

namespace tool {

/// One program of an exercise, with its arguments.
struct variant {
  std::string label;
  std::string program;
  std::vector<std::string> arguments = {};
  int expected_status = 0;
};

struct result {
  series runs;
  throttling held;   // sums over all runs, where a quota is in force
  std::string said;  // on standard error, by the last run
};

/// In the order of exercise::variants; the first is `before`.
using results = std::vector<result>;

struct verdict {
  bool met = false;
  bool small_here = false;       // not met, for there is less to win than the target asks for
  std::string measured;          // short: "6.2x"
  std::vector<std::string> why;  // what the numbers say, in whole sentences; measured, not supposed
};

/// A measured figure worth a column.
struct column {
  std::string key;
  std::string title;
};

/// The control group that an exercise's programs run in, each in one of its own.
enum class confinement {
  none,
  cpu,     // lab_quota_cpus()
  memory,  // lab_memory_bytes, and no swap
};

struct exercise {
  int number;
  std::string title;
  std::string target;  // as a short phrase
  std::vector<variant> variants;
  column shown;  // of each run, as it ends; the figure that the target is about
  std::vector<column> columns;
  verdict (*judge)(const exercise&, const results&);
  confinement in = confinement::none;
  int rounds_max = 1000;  // where more tell nothing
  /// The library without which a build leaves its programs out.
  std::string built_with = {};
  // Its twin in Go, which runs in the same rounds where Go is at hand: the folder that has go/, and
  // the arguments for as many of the variants, of which the first two are before and after.
  std::string go_folder = {};
  std::vector<std::vector<std::string>> go_arguments = {};
};

const std::vector<exercise>& all_exercises();
const exercise* find_exercise(int number);

/// An eighth of the CPUs, at least one.
double lab_quota_cpus();
/// The container of exercise 4: 1 GB.
constexpr long long lab_memory_bytes = 1LL << 30;

/// "%.Nf" of a number.
std::string fixed(double value, int decimals);

}  // namespace tool
