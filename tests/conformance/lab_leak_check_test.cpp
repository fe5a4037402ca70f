// Exercise 14 with GoogleTest: the fixture fails the test of the leaky function, says which
// function leaks and where, and lets the repaired one pass.
#include <chrono>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <gort/go.hpp>
#include <gort/ops/gtest_leak_check.hpp>

#include "base/sanitizer.hpp"
#include "exercises/14_leak_check/first_answer.hpp"
#include "support/parked.hpp"

namespace {

using testing::HasSubstr;
using testing::IsEmpty;

// What a user writes, but for the patience: five seconds tell no more about a certain leak, and
// may be too little for who must end and has no CPU.
class first_answer : public gort::ops::leak_checked_test {
 public:
  first_answer(int (*f)(), std::size_t leaks) : f_(f), leaks_(leaks) {}

  // As GoogleTest runs a test; returns what it failed with.
  std::vector<std::string> run_test() {
    testing::TestPartResultArray results;
    {
      testing::ScopedFakeTestPartResultReporter reporter(
          testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &results);
      SetUp();
      TestBody();
      TearDown();
    }
    std::vector<std::string> messages;
    for (int i = 0; i < results.size(); ++i)
      messages.emplace_back(results.GetTestPartResult(i).message());
    return messages;
  }

 private:
  void TestBody() override {
    gort::run([this] {
      const gort::test::arrivals since;
      EXPECT_GE(f_(), 0);
      since.wait_for(leaks_, gort::test::wait_reason::chan_send);
    });
  }
  gort::ops::leak_options leaks_allowed() const override {
    gort::ops::leak_options options;
    options.patience = leaks_ != 0 ? std::chrono::milliseconds(200) : std::chrono::seconds(60);
    return options;
  }

  int (*f_)();
  std::size_t leaks_;
};

TEST(exercise_14, the_leaky_function_fails_its_test) {
  const auto failures = first_answer(exercise::first_answer_leaky, 2).run_test();
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_THAT(failures[0], HasSubstr("found unexpected goroutines: 2\n"));
  EXPECT_THAT(failures[0], HasSubstr("2 [chan send] goroutines "));
  EXPECT_THAT(failures[0], HasSubstr("created by exercise::first_answer_leaky"));
  EXPECT_THAT(failures[0], HasSubstr("first_answer.hpp:"));
}

TEST(exercise_14, the_repaired_one_passes) {
  EXPECT_THAT(first_answer(exercise::first_answer_fixed, 0).run_test(), IsEmpty());
}

}  // namespace
