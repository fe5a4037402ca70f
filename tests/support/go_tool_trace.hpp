// Go's own reader of execution traces, where a Go of 1.23 or later is at hand ($GOROOT, or `go` in
// the path). Where there is none the test says so and goes on: the same file has been read by
// support/go_trace.hpp, which is as strict.
#pragma once

#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "support/go_trace.hpp"
#include "support/program.hpp"

namespace gort::test {

/// The command to run it; empty: there is none, which has been said.
inline const std::string& go_command() {
  static const std::string found = [] {
    std::string go = "go";
    if (const char* root = std::getenv("GOROOT"); root != nullptr && *root != 0)
      go = std::string(root) + "/bin/go";
    go = "GOTOOLCHAIN=local " + go;
    const ended version = run_shell(go + " version");
    int minor = 0;
    const std::size_t at = version.text.find("go1.");
    if (version.status == 0 && at != std::string::npos)
      std::sscanf(version.text.c_str() + at, "go1.%d", &minor);
    constexpr int first_that_reads_it = 23;
    if (minor >= first_that_reads_it) return go;
    std::cout << "NOT RUN: go tool trace: no Go of 1.23 or later here (GOROOT)\n" << std::flush;
    return std::string();
  }();
  return found;
}

/// What `go tool trace FLAGS file` prints.
inline ended run_go_tool_trace(std::string_view file, const std::string& flags) {
  const std::string path = "/tmp/gort-trace-" + std::to_string(getpid());
  std::ofstream(path, std::ios::binary).write(file.data(), static_cast<long>(file.size()));
  ended result = run_shell(go_command() + " tool trace " + flags + " " + path);
  std::remove(path.c_str());
  return result;
}

/// Both readers accept it.
inline void expect_valid_trace(std::string_view file, go_trace_summary* to = nullptr) {
  const std::string wrong = go_trace_reader::error_of(file, to);
  EXPECT_EQ(wrong, "");
  if (go_command().empty()) return;
  const ended parsed = run_go_tool_trace(file, "-d=parsed >/dev/null");
  EXPECT_EQ(parsed.status, 0) << parsed.head();
  if (!wrong.empty() || parsed.status != 0) {
    const std::string kept = "/tmp/gort-bad-trace-" + std::to_string(getpid());
    std::ofstream(kept, std::ios::binary).write(file.data(), static_cast<long>(file.size()));
    std::cout << "kept as " << kept << '\n';
  }
}

}  // namespace gort::test
