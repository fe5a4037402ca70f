// The service that parses what it is sent, each document in a goroutine of its own, as a process
// that is watched from outside: for it dies of the malformed document, before and after.
#pragma once

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>

#include <gort/debug.hpp>
#include <gort/go.hpp>
#include <gort/wait_group.hpp>

#include "measure.hpp"
#include "parser.hpp"

namespace exercise {

/// Parses them all, one after another; returns how many were good.
inline int serve(const std::vector<std::string>& documents) {
  int good = 0;
  for (const std::string& text : documents) {
    gort::wait_group one;
    one.go([&] {
      const value parsed = parser(text).parse();
      good += parsed.items.empty() ? 0 : 1;
    });
    one.wait();
  }
  return good;
}

struct death {
  int status = -1;
  int good_documents = 0;   // parsed before
  double elapsed_ms = 0;    // from the malformed document's arrival to the end of the process
  double to_report_ms = 0;  // to the first word about it
  double peak_rss_mib = 0;
  std::string report;
};

/// What the service says when the malformed document arrives; the clock is the same in all
/// processes.
struct arrival {
  int good_documents = 0;
  std::chrono::steady_clock::time_point when;
};

/// Runs the service with that limit on its stacks: the good documents, then the malformed one.
inline death watch_service(std::size_t limit_bytes) {
  int report[2], news[2];
  if (pipe(report) != 0 || pipe(news) != 0) std::abort();
  const pid_t child = fork();  // nothing of gort has been used so far
  if (child < 0) std::abort();
  if (child == 0) {
    dup2(report[1], STDERR_FILENO);
    for (int fd : {report[0], report[1], news[0]}) close(fd);
    gort::debug::set_max_stack(limit_bytes);
    gort::run([&] {
      const int good = serve(good_documents());
      std::vector<std::string> malformed;
      malformed.push_back(malformed_document());
      const arrival now{good, std::chrono::steady_clock::now()};
      if (write(news[1], &now, sizeof(now)) != sizeof(now)) std::abort();
      serve(malformed);
    });
    _exit(0);
  }
  close(report[1]);
  close(news[1]);
  death out;
  arrival malformed;
  if (read(news[0], &malformed, sizeof(malformed)) != sizeof(malformed)) std::abort();
  out.good_documents = malformed.good_documents;
  const auto ms_since = [&] {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() -
                                                     malformed.when)
        .count();
  };
  char part[4096];
  for (ssize_t got; (got = read(report[0], part, sizeof(part))) > 0;) {
    if (out.report.empty()) out.to_report_ms = ms_since();
    out.report.append(part, static_cast<std::size_t>(got));
  }
  rusage used{};
  int status = 0;
  if (wait4(child, &status, 0, &used) != child) std::abort();
  out.elapsed_ms = ms_since();
  out.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  out.peak_rss_mib = static_cast<double>(used.ru_maxrss) / 1024;
  close(report[0]);
  close(news[0]);
  return out;
}

/// The lines that name the cause, and the measurement.
inline void tell(const death& what, std::size_t limit_bytes, std::size_t high_water_bytes) {
  const std::size_t traces = what.report.find("\n\ngoroutine ");
  std::fputs((what.report.substr(0, traces) + "\n").c_str(), stderr);
  const std::string line =
      "runtime: goroutine stack exceeds " + std::to_string(limit_bytes) + "-byte limit\n";
  const bool said = what.report.starts_with(line) &&
                    what.report.find("fatal error: stack overflow") != std::string::npos &&
                    what.report.find("exercise::parser::parse_") != std::string::npos;
  report()
      .add("elapsed_ms", what.elapsed_ms)
      .add("to_report_ms", what.to_report_ms)
      .add("peak_rss_mib", what.peak_rss_mib)
      .add("limit_kib", static_cast<double>(limit_bytes) / 1024)
      .add("high_water_kib", static_cast<double>(high_water_bytes) / 1024)
      .add("status", what.status)
      .add("reported", said ? 1 : 0)
      .add("good_documents", what.good_documents)
      .add("documents", static_cast<double>(good_documents().size()))
      .print();
}

}  // namespace exercise
