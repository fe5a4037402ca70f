// What most models expect of an exploration.
#pragma once

#include <cstdio>

#include <gtest/gtest.h>

#include "model/explorer.hpp"

namespace gort::model {

inline void expect_right(const outcome& o) {
  EXPECT_FALSE(o.failed) << o.report;
  EXPECT_TRUE(o.complete) << "only " << o.executions << " executions";
  std::printf("%ld executions\n", o.executions);
}

}  // namespace gort::model
