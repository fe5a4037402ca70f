#include "lab.hpp"

#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>

#include "exercises.hpp"
#include "go_twin.hpp"
#include "process.hpp"
#include "quiet.hpp"

namespace tool {

namespace {

struct finding {
  int status = status_met;
  std::string skipped;  // why
  verdict said;
};

const char* word_for(const finding& found) {
  switch (found.status) {
    case status_met: return found.said.met ? "met" : "small here";
    case status_not_met: return "NOT met";
    case status_skipped: return "SKIPPED";
    default: return "FAILED";
  }
}

// Fields padded to a width; the text is ASCII.
std::string left(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}
std::string right(std::string text, std::size_t width) {
  if (text.size() < width) text.insert(0, width - text.size(), ' ');
  return text;
}

void print_indented(const std::string& text) {
  std::size_t start = 0;
  while (start < text.size()) {
    std::size_t end = text.find('\n', start);
    if (end == text.npos) end = text.size();
    std::printf("    %s\n", text.substr(start, end - start).c_str());
    start = end + 1;
  }
}

// The exercise in Go, run beside ours.
struct go_twin {
  std::filesystem::path program;  // empty: there is none
  std::string why;
  std::vector<series> runs;
};

go_twin prepare_go_twin(const exercise& what, const lab_options& options) {
  go_twin twin;
  if (what.go_folder.empty()) return twin;
  twin.program = build_go_twin(what.go_folder, options.programs, twin.why);
  twin.runs.resize(what.go_arguments.size());
  return twin;
}

// In a group with the exercise's limit, if it needs one. What that took away is added to `held`;
// with a limit on memory `into` says whether it has killed the program.
outcome run_confined(const exercise& what, const std::filesystem::path& path,
                     const std::vector<std::string>& arguments, throttling& held,
                     measurement& into) {
  const auto fail_unless = [](const lab_cgroup& group) {
    if (!group.made()) throw std::runtime_error("no cgroup any more: " + group.why());
  };
  outcome ran;
  switch (what.in) {
    case confinement::none: ran = run_program(path, arguments, {}); break;
    case confinement::cpu: {
      const cpu_cgroup group(lab_quota_cpus());
      fail_unless(group);
      ran = run_program(path, arguments, group.procs());
      const throttling now = group.read();
      held.periods += now.periods;
      held.throttled += now.throttled;
      held.held_back_ms += now.held_back_ms;
      break;
    }
    case confinement::memory: {
      const memory_cgroup group(lab_memory_bytes);
      fail_unless(group);
      ran = run_program(path, arguments, group.procs());
      constexpr int by_sigkill = 128 + SIGKILL;
      into["killed"] = ran.status == by_sigkill && group.killed() > 0 ? 1 : 0;
      into["group_peak_mib"] = group.peak_mib();
      break;
    }
  }
  if (ran.standard_out.empty() && ran.status != 0)
    throw std::runtime_error(path.filename().string() + " ended with status " +
                             std::to_string(ran.status) + " and has measured nothing\n" +
                             ran.standard_error);
  into.merge(parse_measurement(ran.standard_out));
  return ran;
}

measurement run_variant(const exercise& exercise_of, const variant& what,
                        const lab_options& options, result& into) {
  const auto path = options.programs / what.program;
  if (access(path.c_str(), X_OK) != 0) {
    throw std::runtime_error("no program " + path.string() +
                             "; build the target `programs`, or say --programs DIR");
  }
  measurement measured;
  outcome ran = run_confined(exercise_of, path, what.arguments, into.held, measured);
  // To be killed for want of memory is a result.
  const auto killed = measured.find("killed");
  if (ran.status != what.expected_status && (killed == measured.end() || killed->second == 0)) {
    throw std::runtime_error(what.program + " ended with status " + std::to_string(ran.status) +
                             ", not " + std::to_string(what.expected_status) + "\n" +
                             ran.standard_error);
  }
  into.said = std::move(ran.standard_error);
  return measured;
}

// A twin that fails, as where Go is too old for it, is left out: the exercise is about ours.
void run_twin(const exercise& what, go_twin& twin) {
  if (twin.program.empty()) return;
  try {
    for (std::size_t i = 0; i < twin.runs.size(); ++i) {
      throttling held;
      measurement measured;
      run_confined(what, twin.program, what.go_arguments[i], held, measured);
      twin.runs[i].add(std::move(measured));
    }
  } catch (const std::exception& error) {
    twin.program.clear();
    twin.why = std::string("its twin does not run (is this Go older than 1.20?): ") + error.what();
  }
}

// One round: each variant once, in turn, so that a slow moment of the machine hits them all.
void run_round(const exercise& what, const lab_options& options, results& into, go_twin& twin) {
  for (std::size_t i = 0; i < what.variants.size(); ++i) {
    const measurement measured = run_variant(what, what.variants[i], options, into[i]);
    const auto value = measured.find(what.shown.key);
    if (value == measured.end())
      throw std::runtime_error("measurement: " + what.variants[i].program + " did not say " +
                               what.shown.key);
    std::printf("%s %s %s", i == 0 ? " " : ",", what.variants[i].label.c_str(),
                fixed(value->second, 1).c_str());
    std::fflush(stdout);
    into[i].runs.add(measured);
  }
  run_twin(what, twin);
  std::printf("  (%s)\n", what.shown.title.c_str());
}

double available_bytes() {
  std::ifstream in("/proc/meminfo");
  for (std::string word; in >> word;) {
    double kib = 0;
    if (word == "MemAvailable:" && in >> kib) return kib * 1024;
  }
  return 0;
}

std::string reason_to_skip(const exercise& what, const lab_options& options) {
  const std::filesystem::path program = options.programs / what.variants[0].program;
  if (!what.built_with.empty() && !std::filesystem::exists(program))
    return "no program " + program.string() + "; it is built where there is " + what.built_with;
  if (what.in == confinement::none) return {};
  if (what.in == confinement::memory) {
    const double more = 1.25 * lab_memory_bytes;
    if (const double bytes = available_bytes(); bytes < more)
      return "it needs " + fixed(more / (1 << 20), 0) + " MiB of free memory, and there are " +
             fixed(bytes / (1 << 20), 0);
    const memory_cgroup trial(lab_memory_bytes);
    return trial.made() ? std::string() : trial.why();
  }
  if (sysconf(_SC_NPROCESSORS_ONLN) < 2) return "a quota below the machine's CPUs needs two CPUs";
  const cpu_cgroup trial(lab_quota_cpus());
  return trial.made() ? std::string() : trial.why();
}

void print_results(const exercise& what, const results& all) {
  constexpr std::size_t label_width = 18, width = 14;
  std::string head = left("  median", label_width);
  for (const column& each : what.columns) head += right(each.title, width);
  std::printf("\n%s\n", head.c_str());
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::string line = left("  " + what.variants[i].label, label_width);
    for (const column& each : what.columns) {
      const double value = all[i].runs.median(each.key);
      line += right(fixed(value, value == static_cast<int>(value) ? 0 : 2), width);
    }
    std::printf("%s\n", line.c_str());
  }
}

// What Go's twin measured in the same rounds.
std::string said_by_go(const exercise& what, const go_twin& twin) {
  if (twin.program.empty()) return "Go's figures would stand here: " + twin.why;
  std::string out = "Go in the same rounds: " + what.shown.title;
  for (std::size_t i = 0; i < twin.runs.size(); ++i) {
    const std::string label = i == 0 ? "before" : i == 1 ? "after" : what.variants[i].label;
    out += (i == 0 ? " " : ", ") + label + " " + fixed(twin.runs[i].median(what.shown.key), 1);
  }
  const double before = twin.runs[0].median(what.shown.key);
  const double after = twin.runs[1].median(what.shown.key);
  if (after < before) out += ": " + fixed(100 * (1 - after / before), 0) + "% less";
  return out;
}

finding run_one(const exercise& what, const lab_options& options) {
  finding out;
  std::printf("exercise %d: %s\n  target: %s\n", what.number, what.title.c_str(),
              what.target.c_str());
  std::fflush(stdout);
  out.skipped = reason_to_skip(what, options);
  if (!out.skipped.empty()) {
    out.status = status_skipped;
    std::printf("  SKIPPED: %s\n\n", out.skipped.c_str());
    return out;
  }
  if (what.in == confinement::memory) {
    std::printf("  memory limit: %s MiB and no swap, by a cgroup of its own\n",
                fixed(static_cast<double>(lab_memory_bytes) / (1 << 20), 0).c_str());
  } else if (what.in == confinement::cpu) {
    std::printf("  CPU quota: %s of %ld CPUs, by a cgroup of its own\n",
                fixed(lab_quota_cpus(), 0).c_str(), sysconf(_SC_NPROCESSORS_ONLN));
  }
  go_twin twin = prepare_go_twin(what, options);
  wait_until_quiet(options.wait_seconds);
  results all(what.variants.size());
  const int rounds = std::min(options.rounds, what.rounds_max);
  try {
    for (int round = 1; round <= rounds; ++round) {
      std::printf("  round %d/%d:", round, rounds);
      std::fflush(stdout);
      run_round(what, options, all, twin);
    }
  } catch (const std::exception& error) {
    out.status = status_failed;
    out.said.measured = "-";
    std::printf("\n  FAILED: %s\n\n", error.what());
    return out;
  }
  print_results(what, all);
  if (!all[0].said.empty()) {
    std::printf("\n  before said:\n");
    print_indented(all[0].said);
  }
  out.said = what.judge(what, all);
  if (!what.go_folder.empty()) out.said.why.push_back(said_by_go(what, twin));
  out.status = out.said.met || out.said.small_here ? status_met : status_not_met;
  std::printf("\n");
  for (const std::string& each : out.said.why) std::printf("  - %s\n", each.c_str());
  std::printf("  measured: %s; target: %s; %s\n\n", out.said.measured.c_str(), what.target.c_str(),
              word_for(out));
  std::fflush(stdout);
  return out;
}

void print_row(const std::string& number, const std::string& title, const std::string& target,
               const std::string& measured, const std::string& met) {
  std::printf("%s  %s%s%s%s\n", right(number, 2).c_str(), left(title, 50).c_str(),
              left(target, 40).c_str(), left(measured, 24).c_str(), met.c_str());
}

}  // namespace

int lab_list() {
  for (const exercise& each : all_exercises()) {
    std::printf("%2d  %s\n      target: %s%s\n", each.number, each.title.c_str(),
                each.target.c_str(),
                each.in == confinement::cpu      ? "; needs a writable cpu cgroup"
                : each.in == confinement::memory ? "; needs a writable memory cgroup"
                                                 : "");
  }
  return status_met;
}

int lab_run(int number, const lab_options& options) {
  const exercise* what = find_exercise(number);
  if (what == nullptr) {
    std::fprintf(stderr, "gort lab: no exercise %d; see `gort lab list`\n", number);
    return status_failed;
  }
  return run_one(*what, options).status;
}

int lab_table(const lab_options& options, bool strict) {
  std::vector<finding> found;
  for (const exercise& each : all_exercises()) found.push_back(run_one(each, options));
  int status = status_met;
  bool skipped = false;
  print_row("", "exercise", "target", "measured", "");
  for (std::size_t i = 0; i < found.size(); ++i) {
    const exercise& what = all_exercises()[i];
    print_row(std::to_string(what.number), what.title, what.target, found[i].said.measured,
              word_for(found[i]));
    if (found[i].status == status_failed) status = status_failed;
    if (found[i].status == status_not_met && strict && status == status_met)
      status = status_not_met;
    skipped = skipped || found[i].status == status_skipped;
  }
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (found[i].skipped.empty()) continue;
    std::printf("SKIPPED %d: %s\n", all_exercises()[i].number, found[i].skipped.c_str());
  }
  std::printf("every figure was measured in this run; medians of %d rounds\n", options.rounds);
  if (status == status_met && strict && skipped) return status_skipped;
  return status;
}

}  // namespace tool
