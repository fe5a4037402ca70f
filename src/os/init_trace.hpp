// GODEBUG=inittrace=1: what is made ready before the program's own work, a line for each as Go
// prints one for each package: when it began, how long it took, what it allocated.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gort::os {

/// Measures its own life. Where nobody asks it looks at one word.
class init_trace {
 public:
  /// `what` must outlive it.
  explicit init_trace(const char* what) noexcept;
  ~init_trace();
  init_trace(const init_trace&) = delete;
  init_trace& operator=(const init_trace&) = delete;

 private:
  const char* what_;
  std::int64_t began_ns_ = 0;  // 0: nobody asks
  std::size_t in_use_bytes_ = 0;
};

/// A line for what has passed since the first constructor of a static object: those objects, and
/// what main() has done before its first use of gort.
void print_init_of_program() noexcept;

}  // namespace gort::os
