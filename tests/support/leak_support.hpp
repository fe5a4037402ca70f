// For tests of the profile "goroutineleak". In programs of their own: what is leaked stays so.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <gort/pprof.hpp>
#include <gort/time.hpp>

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

// Each was looked at. The metric says about how many: it counts one that is just ending, who is
// missing later.
inline int waiting_goroutines() {
  std::string text;
  pprof::lookup("goroutine")->write_to([&](std::string_view piece) { text += piece; }, 2);
  int count = 0;
  constexpr std::string_view head = "goroutine ";
  for (std::size_t at = 0; (at = text.find(head, at)) != text.npos; at += head.size()) {
    if (at != 0 && text[at - 1] != '\n') continue;
    const std::string_view state = std::string_view(text).substr(text.find('[', at) + 1);
    count += !state.starts_with("running") && !state.starts_with("runnable");
  }
  return count;
}

// Runs `start` and waits until so many more goroutines wait.
template <class F>
void until_more_wait(int how_many, F start) {
  const int before = waiting_goroutines();
  start();
  while (waiting_goroutines() < before + how_many) gort::sleep(std::chrono::milliseconds(1));
}

// How many more are leaked after so many have begun to wait in start().
template <class F>
std::int64_t more_leaks(int waiting, F start) {
  const std::int64_t before = leaks();
  until_more_wait(waiting, std::move(start));
  return leaks() - before;
}

}  // namespace gort::test
