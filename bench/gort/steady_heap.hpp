// Rows that show where the pacer steers: a heap of which as much lives all the time, replaced as
// fast as can be. bench/pacing.py reads what gctrace says meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include <gort/gc.hpp>
#include <gort/go.hpp>
#include <gort/wait_group.hpp>

#include "heap_support.hpp"

namespace heap_bench {

/// A whole number from the environment.
inline std::size_t from_environment(const char* name, std::size_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// `make_piece` returns a gc::ptr to so many bytes. GORT_STEADY_MB of them live, for each goroutine
/// its part; it replaces one at random, and has made three others meanwhile that die at once, for
/// GORT_STEADY_S seconds.
template <class MakePiece>
figures steady_heap(int goroutines, std::size_t piece_bytes, MakePiece make_piece) {
  using piece = decltype(make_piece());
  const std::size_t bytes = from_environment("GORT_STEADY_MB", 100) << 20;
  const double seconds = static_cast<double>(from_environment("GORT_STEADY_S", 5));
  const std::size_t each = bytes / piece_bytes / static_cast<std::size_t>(goroutines);
  std::array<std::uint64_t, 2> made{};
  gort::wait_group all;
  for (int g = 0; g < goroutines; ++g) {
    all.go([&, g] {
      const auto held = gort::gc::make_array<piece>(each);
      for (std::size_t i = 0; i < each; ++i) held[static_cast<std::ptrdiff_t>(i)] = make_piece();
      std::uint64_t random = static_cast<std::uint64_t>(g) + 1, count = 0;
      const stopwatch time;
      do {
        for (int i = 0; i < 3; ++i) (void)make_piece();
        random = random * 6364136223846793005u + 1442695040888963407u;
        const auto at = static_cast<std::size_t>((random >> 32) * each >> 32);
        held[static_cast<std::ptrdiff_t>(at)] = make_piece();
        count += 4;
      } while (count % 256 != 0 || time.seconds() < seconds);
      made.at(static_cast<std::size_t>(g)) = count;
    });
  }
  all.wait();
  const double mb = static_cast<double>((made[0] + made[1]) * piece_bytes) * 1e-6;
  return {{"mb_per_s", mb / seconds}, {"peak_mb", peak_mb()}, {"cpu_s", cpu_seconds()}};
}

inline gort::gc::ptr<char> plain_piece() {
  auto made = gort::gc::make_array<char>(1024);
  made[0] = 1;
  return made;
}

}  // namespace heap_bench
