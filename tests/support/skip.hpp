// A test that needs what the machine lacks says so; under GORT_CI=1 that is a failure. One that
// cannot be run under a sanitizer says so too; it is no failure, for the plain build runs it.
#pragma once

#include <cstdlib>
#include <iostream>
#include <string>

#include <gtest/gtest.h>

namespace gort::test {
inline bool skip_is_failure() {
  const char* ci = std::getenv("GORT_CI");
  return ci != nullptr && std::string(ci) == "1";
}
}  // namespace gort::test

#define GORT_SKIP(reason)                                                  \
  do {                                                                     \
    if (::gort::test::skip_is_failure())                                   \
      FAIL() << "SKIPPED: " << (reason) << " (a failure under GORT_CI=1)"; \
    GTEST_SKIP() << "SKIPPED: " << (reason);                               \
  } while (false)

/// Ends the test if `condition`, a constant of base/sanitizer.hpp, holds.
#define GORT_NOT_UNDER(condition, reason)                                              \
  do {                                                                                 \
    if (condition) {                                                                   \
      std::cout << "NOT RUN under this sanitizer: " << (reason) << '\n' << std::flush; \
      return;                                                                          \
    }                                                                                  \
  } while (false)
