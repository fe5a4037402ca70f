// What the exercises measure with, and how they tell: one line of JSON on standard output.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

namespace exercise {

/// Makes the compiler believe that x is used and may have changed: the loop around it stays.
template <class T>
inline void keep(T& x) {
  asm volatile("" : "+r"(x));
}

/// The guide's stand-in for work: adds up `iterations` numbers.
inline std::uint64_t busy(std::uint64_t iterations) {
  std::uint64_t sum = 0;
  for (std::uint64_t j = 0; j < iterations; ++j) {
    sum += j;
    keep(sum);
  }
  return sum;
}

class stopwatch {
 public:
  double ms() const {
    const auto elapsed = std::chrono::steady_clock::now() - start_;
    return std::chrono::duration<double, std::milli>(elapsed).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// CPU time of all threads of this process.
inline double cpu_ms() { return 1e3 * static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

/// The most memory that this program has had at once. Not getrusage(): its maximum includes what
/// the process was before exec().
inline double peak_rss_mib() {
  double kib = 0;
  if (std::FILE* status = std::fopen("/proc/self/status", "r"); status != nullptr) {
    char line[256];
    while (std::fgets(line, sizeof(line), status) != nullptr) {
      if (std::strncmp(line, "VmHWM:", 6) == 0) kib = std::strtod(line + 6, nullptr);
    }
    std::fclose(status);
  }
  return kib / 1024;
}

/// The value that a share q of the samples does not exceed; sorts them.
inline double quantile(std::vector<double>& samples, double q) {
  if (samples.empty()) return 0;
  std::sort(samples.begin(), samples.end());
  const auto last = samples.size() - 1;
  return samples[static_cast<std::size_t>(q * static_cast<double>(last) + 0.5)];
}

class report {
 public:
  report& add(const char* key, double value) {
    char text[64];
    std::snprintf(text, sizeof(text), "%s\"%s\": %.6g", fields_.empty() ? "" : ", ", key, value);
    fields_ += text;
    return *this;
  }
  void print() const { std::printf("{%s}\n", fields_.c_str()); }

 private:
  std::string fields_;
};

}  // namespace exercise
