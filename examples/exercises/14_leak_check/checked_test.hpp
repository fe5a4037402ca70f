// What a test framework does around a test, by hand: the demo needs no GoogleTest. With it, a test
// derives from gort::ops::leak_checked_test and that is all (see the page).
#pragma once

#include <cstdio>
#include <string>

#include <gort/go.hpp>
#include <gort/ops/leak_check.hpp>

#include "first_answer.hpp"
#include "measure.hpp"

namespace exercise {

/// Runs the test; returns the program's exit status: 1 if it left goroutines behind.
inline int run_checked(int (*test)()) {
  return gort::run([&] {
    const stopwatch watch;
    const gort::ops::leak_check check;  // the goroutines that exist now are not the test's
    const bool answered = test() >= 0;
    const auto leaks = check.find();  // waits up to 5 s for those that are about to end
    if (!leaks.empty()) std::fputs(gort::ops::describe_leaks(leaks).c_str(), stderr);
    int with_site = 0;
    for (const auto& leak : leaks) {
      // The function that is tested: it is named, not just some caller of go().
      with_site += leak.created_by.find("first_answer") != std::string::npos ? 1 : 0;
    }
    report()
        .add("leaks", static_cast<double>(leaks.size()))
        .add("with_creation_site", with_site)
        .add("elapsed_ms", watch.ms())
        .print();
    return answered && leaks.empty() ? 0 : 1;
  });
}

}  // namespace exercise
