#include "os/clock.hpp"

#include <ctime>
#include <string>

#include "os/text_file.hpp"

namespace gort::os {

namespace {

std::int64_t read_ns(clockid_t clock) noexcept {
  timespec ts{};
  clock_gettime(clock, &ts);
  return ts.tv_sec * std::int64_t{1'000'000'000} + ts.tv_nsec;
}

}  // namespace

std::int64_t monotonic_ns() noexcept { return read_ns(CLOCK_MONOTONIC); }
std::int64_t coarse_monotonic_ns() noexcept { return read_ns(CLOCK_MONOTONIC_COARSE); }

std::int64_t own_thread_cpu_ns() noexcept { return read_ns(CLOCK_THREAD_CPUTIME_ID); }
std::int64_t process_cpu_ns() noexcept { return read_ns(CLOCK_PROCESS_CPUTIME_ID); }

bool ticks_are_a_clock() {
  constexpr const char* path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
  constexpr std::size_t bytes_max = 64;
  const std::string source = read_text_file(path, bytes_max);
  return source == "tsc\n" || source == "arch_sys_counter\n";
}

}  // namespace gort::os
