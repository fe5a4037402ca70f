// For tests of the profile "goroutineleak". In programs of their own: what is leaked stays so.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <gort/pprof.hpp>
#include <gort/time.hpp>

#include "support/metrics_support.hpp"

namespace gort::test {

inline std::string written_leaks(int debug) {
  std::string out;
  pprof::lookup("goroutineleak")->write_to([&](std::string_view piece) { out += piece; }, debug);
  return out;
}

inline std::int64_t leaks() {
  written_leaks(0);
  return pprof::lookup("goroutineleak")->count();
}

// Runs `start` and waits until so many more goroutines wait.
template <class F>
void until_more_wait(int how_many, F start) {
  const auto waiting = [] { return whole("/sched/goroutines/waiting:goroutines"); };
  const std::uint64_t before = waiting();
  start();
  while (waiting() < before + static_cast<std::uint64_t>(how_many))
    gort::sleep(std::chrono::milliseconds(1));
}

// How many more are leaked after so many have begun to wait in start().
template <class F>
std::int64_t more_leaks(int waiting, F start) {
  const std::int64_t before = leaks();
  until_more_wait(waiting, std::move(start));
  return leaks() - before;
}

}  // namespace gort::test
