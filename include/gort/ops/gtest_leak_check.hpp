/// Leak checks for GoogleTest: a test fails if it leaves goroutines behind, with their stacks and
/// creation sites. Header only; the program links GoogleTest.
///
/// For tests that ask for it:
///     class pool_test : public gort::ops::leak_checked_test {};
///     TEST_F(pool_test, drains) { gort::run([] { ... }); }
/// For all tests of a program, in main():
///     testing::UnitTest::GetInstance()->listeners().Append(new gort::ops::leak_listener);
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <gort/ops/leak_check.hpp>

namespace gort::ops {

namespace detail {
// A test that was cut short by a fatal failure cannot have cleaned up: its leaks are no news.
inline void fail_on_leaks(const leak_check& check) {
  if (testing::Test::HasFatalFailure() || testing::Test::IsSkipped()) return;
  const std::vector<goroutine_info> leaks = check.find();
  if (!leaks.empty()) ADD_FAILURE() << describe_leaks(leaks);
}
}  // namespace detail

/// A fixture whose tests fail when they leave goroutines behind. A fixture derived from it that has
/// a SetUp() calls this one first, and TearDown() last.
class leak_checked_test : public testing::Test {
 protected:
  /// Override to tolerate goroutines or to change the patience.
  virtual leak_options leaks_allowed() const { return {}; }

  void SetUp() override { check_.emplace(leaks_allowed()); }
  void TearDown() override {
    if (check_) detail::fail_on_leaks(*check_);
  }

 private:
  std::optional<leak_check> check_;
};

/// The same for every test of the program. What SetUpTestSuite() starts is tolerated.
class leak_listener : public testing::EmptyTestEventListener {
 public:
  explicit leak_listener(leak_options options = {}) : options_(std::move(options)) {}

  void OnTestStart(const testing::TestInfo&) override { check_.emplace(options_); }
  void OnTestEnd(const testing::TestInfo&) override {
    if (check_) detail::fail_on_leaks(*check_);
    check_.reset();
  }

 private:
  leak_options options_;
  std::optional<leak_check> check_;
};

}  // namespace gort::ops
