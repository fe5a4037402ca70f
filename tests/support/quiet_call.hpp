// For tests of calls that block their thread: whether somebody has disturbed one.
#pragma once

#include <sys/resource.h>
#include <chrono>

#include <gtest/gtest.h>

#include "base/sanitizer.hpp"
#include "support/cpu_time.hpp"

namespace gort::test {

/// A call that nothing is to wake but what it waits for. A thread that computes is interrupted, and
/// so may be one that is on its way to the call when its CPU is taken away, where the kernel counts
/// that time as its own: such a try proves nothing.
class quiet_call {
 public:
  template <class F>
  void operator()(F call) {
    sleeps_ = -sleeps_of_this_thread();
    computed_ = -thread_cpu_used();
    call();
    computed_ += thread_cpu_used();
    sleeps_ += sleeps_of_this_thread();
  }
  /// It used less CPU time than anybody is interrupted for.
  bool proves() const { return computed_ < std::chrono::milliseconds(1); }
  void expect_undisturbed() const { EXPECT_LE(sleeps_, sleeps_max); }

 private:
  // More, in a call: signals have come, even if the call was restarted. ThreadSanitizer's runtime
  // waits, too.
  static constexpr long sleeps_max = base::with_tsan ? 4 : 1;
  static long sleeps_of_this_thread() {
    rusage use{};
    getrusage(RUSAGE_THREAD, &use);
    return use.ru_nvcsw;
  }

  long sleeps_ = 0;
  std::chrono::nanoseconds computed_{};
};

}  // namespace gort::test
