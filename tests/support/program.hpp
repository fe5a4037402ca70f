// For tests of what a program prints and how it ends: another one, or this executable, which runs
// itself for one of its disabled tests, TEST(program, DISABLED_name).
#pragma once

#include <sys/wait.h>
#include <unistd.h>
#include <cstdio>
#include <string>

namespace gort::test {

struct ended {
  int status = -1;   // exit status, or 128 + signal
  std::string text;  // standard output and error
  bool has(const std::string& part) const { return text.find(part) != text.npos; }
  /// How often `part` stands in the text.
  long count(const std::string& part) const {
    long n = 0;
    for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++n;
    return n;
  }
  /// The beginning, for messages: a dump of many goroutines says nothing more.
  std::string head() const { return text.substr(0, 4000); }
};

inline ended run_shell(const std::string& command) {
  ended result;
  std::FILE* out = popen(("{ " + command + "; } 2>&1").c_str(), "r");
  if (out == nullptr) return result;
  char part[4096];
  while (std::size_t got = std::fread(part, 1, sizeof(part), out)) result.text.append(part, got);
  const int status = pclose(out);
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

/// `environment` stands before the command in a shell: "GOTRACEBACK=all", "ulimit -c 0;".
inline ended run_program(const std::string& name, const std::string& environment = "",
                         int timeout_s = 60) {
  char self[4096] = {};
  if (readlink("/proc/self/exe", self, sizeof(self) - 1) <= 0) return {};
  return run_shell("ulimit -c 0; " + environment + " timeout -s KILL " + std::to_string(timeout_s) +
                   " " + self + " --gtest_also_run_disabled_tests --gtest_filter='*.DISABLED_" +
                   name + "'");
}

}  // namespace gort::test
