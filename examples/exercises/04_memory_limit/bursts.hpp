// The guide's program: bursts of blocks of 1 MiB, of each of which a hundred blocks are kept.
#pragma once

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <gort/gc.hpp>
#include <gort/go.hpp>
#include <gort/metrics.hpp>
#include <gort/time.hpp>

#include "measure.hpp"

namespace exercise {

/// What the arguments say: `touch`, and how long a rest is, in ms.
struct bursts {
  bool touch = false;
  /// The guide rests for 2 s. A tenth of it keeps the lab short, and is harder: less time to give
  /// memory back.
  std::chrono::milliseconds rest{200};

  bursts(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      if (std::strcmp(argv[i], "touch") == 0)
        touch = true;
      else
        rest = std::chrono::milliseconds(std::strtol(argv[i], nullptr, 10));
    }
  }

  /// Where every page is written to, the guide's 1000 blocks beside the 100 that are kept would be
  /// more memory than the container has, limit or not.
  int blocks() const { return touch ? 700 : 1000; }
};

inline double cycles_so_far() {
  std::vector<gort::metrics::sample> s{{"/gc/cycles/total:gc-cycles"}};
  gort::metrics::read(s);
  return static_cast<double>(s[0].value.uint64());
}

/// Ten bursts, and a line after each, so that the last one is there if the process is killed.
inline void run_bursts(const bursts& how) {
  constexpr int count = 10, kept = 100;
  constexpr std::size_t block_bytes = std::size_t{1} << 20, page_bytes = 4096;
  std::vector<gort::gc::ptr<char>, gort::gc::allocator<gort::gc::ptr<char>>> keep;
  std::vector<double> burst_ms;
  const auto tell = [&] {
    report()
        .add("bursts", static_cast<double>(burst_ms.size()))
        .add("burst_ms", quantile(burst_ms, 0.5))
        .add("peak_rss_mib", peak_rss_mib())
        .add("cpu_ms", cpu_ms())
        .add("cycles", cycles_so_far())
        .print();
    std::fflush(stdout);
  };
  tell();
  for (int burst = 0; burst < count; ++burst) {
    const stopwatch watch;
    for (int i = 0; i < how.blocks(); ++i) {
      keep.push_back(gort::gc::make_array<char>(block_bytes));
      if (!how.touch) continue;
      for (std::size_t at = 0; at < block_bytes; at += page_bytes)
        keep.back()[static_cast<std::ptrdiff_t>(at)] = 1;
    }
    burst_ms.push_back(watch.ms());
    tell();
    gort::sleep(how.rest);
    keep.resize(kept);  // drop most
    gort::sleep(how.rest);
  }
}

}  // namespace exercise
