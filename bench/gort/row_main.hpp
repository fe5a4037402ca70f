// The command line of a program of rows: ROW --procs N.
#pragma once

#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <string>

#include <gort/go.hpp>
#include <gort/runtime.hpp>

/// Runs the row that the arguments name with so many Ps, as a goroutine, and has `print` say what
/// it returned: print(row, procs, result). The exit status; 1 with a list of the rows if the
/// arguments name none.
template <class Result, class Print>
int row_main(int argc, char** argv, const std::map<std::string, std::function<Result()>>& rows,
             Print print) {
  const auto row = argc == 4 ? rows.find(argv[1]) : rows.end();
  if (row == rows.end() || std::strcmp(argv[2], "--procs") != 0) {
    std::fprintf(stderr, "usage: %s ROW --procs N; rows:", argv[0]);
    for (const auto& each : rows) std::fprintf(stderr, " %s", each.first.c_str());
    std::fprintf(stderr, "\n");
    return 1;
  }
  return gort::run([&] {
    gort::runtime::gomaxprocs(std::stoi(argv[3]));
    print(argv[1], argv[3], row->second());
  });
}
