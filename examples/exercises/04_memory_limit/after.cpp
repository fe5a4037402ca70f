// After: it is told how much there is, less a tenth for what it does not count.
#include <cstdint>

#include <gort/debug.hpp>

#include "bursts.hpp"

int main(int argc, char** argv) {
  return gort::run([&] {
    constexpr std::int64_t container_bytes = std::int64_t{1} << 30;
    gort::debug::set_memory_limit(container_bytes / 10 * 9);
    exercise::run_bursts(exercise::bursts(argc, argv));
  });
}
