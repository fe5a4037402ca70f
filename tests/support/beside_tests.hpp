// Something that a plain thread does again and again while the tests of a program run, and between
// them.
#pragma once

#include <random>
#include <thread>

#include <gtest/gtest.h>

#include <gort/detail/atomic.hpp>

#include "support/seed.hpp"

namespace gort::test {

/// Add it by add_beside_tests() before the tests begin; GoogleTest deletes it.
class beside_tests : public testing::EmptyTestEventListener {
 public:
  void OnTestProgramStart(const testing::UnitTest&) final {
    thread_ = std::thread([this] {
      std::mt19937_64 random(seed());
      while (!over_.load_relaxed()) once(random);
    });
  }
  void OnTestProgramEnd(const testing::UnitTest&) final {
    over_.store_relaxed(true);
    thread_.join();
    at_end();
  }

 private:
  virtual void once(std::mt19937_64& random) = 0;
  virtual void at_end() = 0;

  std::thread thread_;
  detail::atomic<bool> over_;
};

inline bool add_beside_tests(beside_tests* what) {
  testing::UnitTest::GetInstance()->listeners().Append(what);
  return true;
}

}  // namespace gort::test
