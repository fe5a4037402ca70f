#include "report/metrics/knobs.hpp"

#include <limits>

#include "base/env.hpp"

namespace gort::report {

namespace {

constexpr std::uint64_t off = std::numeric_limits<std::uint64_t>::max();

struct settings {
  std::uint64_t percent =
      base::env_gc_percent() < 0 ? off : static_cast<std::uint64_t>(base::env_gc_percent());
  std::uint64_t limit_bytes = base::env_memory_limit();
};

// Read once, as all of the environment.
const settings& read() noexcept {
  static const settings values;
  return values;
}
[[maybe_unused]] const settings& read_before_main = read();

}  // namespace

std::uint64_t gc_percent() noexcept { return read().percent; }
std::uint64_t memory_limit() noexcept { return read().limit_bytes; }

std::uint64_t heap_goal() noexcept {
  constexpr std::uint64_t at_100_percent = 4 << 20;
  const std::uint64_t percent = gc_percent();
  return percent == off ? off : at_100_percent * percent / 100;
}

}  // namespace gort::report
