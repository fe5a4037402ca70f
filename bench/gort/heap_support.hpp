// What the rows of the managed heap are measured with.
#pragma once

#include <sys/resource.h>
#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace heap_bench {

/// By name, in the order in which they are printed.
using figures = std::vector<std::pair<const char*, double>>;

[[noreturn]] inline void fail(const char* what) {
  std::fprintf(stderr, "bench_heap: wrong: %s\n", what);
  std::exit(1);
}

class stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Of the whole process, since its start.
inline double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

inline double status_mb(const std::string& name) {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word != name) continue;
    double kib = 0;
    status >> kib;
    return kib * 1024e-6;
  }
  return 0;
}
inline double peak_mb() { return status_mb("VmHWM:"); }
inline double resident_mb() { return status_mb("VmRSS:"); }

/// Of times in ns, sixteen buckets for each doubling: millions of samples that are no memory.
class histogram {
 public:
  void add(std::uint64_t ns) {
    ++counts_[bucket_of(ns)];
    ++count_;
    worst_ = std::max(worst_, ns);
  }
  void add(const histogram& other) {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    count_ += other.count_;
    worst_ = std::max(worst_, other.worst_);
  }
  /// The lower bound of the bucket.
  double quantile(double q) const {
    auto left = static_cast<std::uint64_t>(q * static_cast<double>(count_));
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      if (left < counts_[i]) return i < 16 ? static_cast<double>(i) : low_of(i);
      left -= counts_[i];
    }
    return static_cast<double>(worst_);
  }
  double worst() const { return static_cast<double>(worst_); }

 private:
  static std::size_t bucket_of(std::uint64_t ns) {
    if (ns < 16) return ns;
    const auto shift = static_cast<unsigned>(std::bit_width(ns)) - 5;
    return (shift + 1) * 16 + (ns >> shift) - 16;
  }
  static double low_of(std::size_t bucket) {
    return static_cast<double>((bucket % 16 + 16) << (bucket / 16 - 1));
  }

  std::array<std::uint64_t, 61 * 16> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t worst_ = 0;
};

/// How much of the figures of the big heap: 1 is 10 M objects and 20 s.
inline double scale() {
  const char* text = std::getenv("GORT_HEAP_SCALE");
  return text == nullptr ? 0.2 : std::strtod(text, nullptr);
}

}  // namespace heap_bench
