// A test that needs what the machine lacks says so; under GORT_CI=1 that is a failure.
#pragma once

#include <cstdlib>
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
