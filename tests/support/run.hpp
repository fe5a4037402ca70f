// For tests of goroutines: the body runs as the main goroutine, with a given number of Ps.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>

#include "support/element.hpp"

namespace gort::test {

/// What goes on beside each body that with_procs() runs; both are called by its main goroutine.
class beside_bodies {
 public:
  virtual ~beside_bodies() = default;
  virtual void begin() = 0;
  virtual void end() = 0;
};
/// Set before the tests begin, if it is (support/watching.cpp).
inline beside_bodies* beside = nullptr;

/// Runs f as the main goroutine with `procs` Ps, then puts the old number back.
template <class F>
void with_procs(int procs, F f) {
  gort::run([&] {
    const int before = runtime::gomaxprocs(procs);
    const element held(procs);
    if (beside != nullptr) beside->begin();
    f();
    if (beside != nullptr) beside->end();
    EXPECT_EQ(held, procs);
    runtime::gomaxprocs(before);
  });
}

/// Until there are no more goroutines than that: whoever has said that it is done, in an earlier
/// test perhaps, is still there until it has ended.
inline void until_goroutines_left(std::int64_t most = 1) {
  while (runtime::num_goroutine() > most) gort::sleep(std::chrono::milliseconds(1));
}

/// A channel that is closed when `n` goroutines have called done().
class gathering {
 public:
  explicit gathering(int n) : left_(n), all_(make_chan<char>()) {}
  void done() {
    if (left_.fetch_sub_acq_rel(1) == 1) all_.close();  // pairs with the other decrements
  }
  void wait() { all_.recv(); }

 private:
  detail::atomic<int> left_;
  chan<char> all_;
};

/// Seconds that a stress test runs for each setting: a moment, or what `make stress` says.
inline double stress_seconds() {
  const char* text = std::getenv("GORT_STRESS_SECONDS");
  return text == nullptr ? 0.3 : std::atof(text);
}

}  // namespace gort::test
