/// Goroutines that a piece of code has left behind. With GoogleTest: gtest_leak_check.hpp.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gort::ops {

/// One goroutine of a dump in Go's text form (runtime::stack).
struct goroutine_info {
  std::uint64_t id = 0;
  std::string state = {};                   // "chan receive", "sleep", "running", ...
  std::string name = {};                    // of go_options; parse_goroutines() leaves it empty
  std::vector<std::string> functions = {};  // innermost first, without arguments
  std::string created_by = {};              // the function that called go(); empty for main
  std::string created_at = {};              // "file:line" of that call, as far as known
  std::string text = {};                    // the whole block, without the blank line at its end
};

/// Splits a dump of goroutines. Blocks that are not understood are left out; a last block that was
/// cut is kept as far as it goes. Pure; any thread.
std::vector<goroutine_info> parse_goroutines(std::string_view dump);

/// What a leak_check tolerates, and how long it waits. An entry of a list stands for everything
/// that begins with it: "net::" is all of a namespace.
struct leak_options {
  std::vector<std::string> functions = {};  // such a function is anywhere on its stack
  std::vector<std::string> creators = {};   // it was started by such a function
  std::vector<std::string> names = {};      // its go_options::name
  /// For goroutines that are about to end. Passes only where some remain.
  std::chrono::nanoseconds patience = std::chrono::seconds(5);
};

/// Remembers which goroutines exist when it is made and finds those that have come since and stay.
/// Go: go.uber.org/goleak, with the goroutines of before as IgnoreCurrent() does.
///
/// May be used from goroutines and plain threads, also before and after run(): where a run() has
/// ended, goroutines stand still, and a leak_check lets them go on while it looks, by a run() of
/// its own. Where other threads start goroutines meanwhile, those are taken for leaks.
class leak_check {
 public:
  /// Stops the world for a moment. Throws std::bad_alloc.
  explicit leak_check(leak_options options = {});

  /// The goroutines that are new and not tolerated; never the caller or main. Returns at once when
  /// there are none; otherwise looks again and again, after 1 us at first and 100 ms at last, until
  /// they have ended or patience has. Blocks, parked. Throws std::bad_alloc.
  std::vector<goroutine_info> find() const;

 private:
  bool tolerates(const goroutine_info& each) const;

  leak_options options_;
  std::vector<std::uint64_t> existed_;  // sorted
};

/// A report for people: those with the same state, stack and creation site are one entry that says
/// how many and which. Empty for an empty span.
std::string describe_leaks(std::span<const goroutine_info> leaks);

}  // namespace gort::ops
