#include "quiet.hpp"

#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>

namespace tool {

namespace {

struct cpu_time {
  double all = 0, idle = 0;
};

cpu_time read_cpu_time() {
  std::ifstream stat("/proc/stat");
  std::string word;
  stat >> word;  // "cpu": user nice system idle iowait irq softirq steal ...
  cpu_time out;
  constexpr int idle_field = 3, iowait_field = 4, fields = 8;
  double value = 0;
  for (int i = 0; i < fields && stat >> value; ++i) {
    out.all += value;
    if (i == idle_field || i == iowait_field) out.idle += value;
  }
  return out;
}

}  // namespace

double busy_share(int milliseconds) {
  const cpu_time before = read_cpu_time();
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  const cpu_time after = read_cpu_time();
  const double all = after.all - before.all;
  return all > 0 ? 1 - (after.idle - before.idle) / all : 0;
}

void wait_until_quiet(int seconds_max) {
  constexpr double quiet = 0.1;
  constexpr int look_ms = 500, looks_per_line = 10;
  const int looks_max = seconds_max * 1000 / look_ms;
  for (int look = 0; look < looks_max; ++look) {
    const double busy = busy_share(look_ms);
    if (busy < quiet) {
      if (look != 0) std::printf("  quiet now\n");
      return;
    }
    if (look % looks_per_line == 0) {
      std::printf("  waiting for the machine to go quiet: %.0f%% busy; %d s more at most\n",
                  100 * busy, seconds_max - look * look_ms / 1000);
      std::fflush(stdout);
    }
  }
  if (looks_max > 0) std::printf("  note: the machine is busy: expect noise\n");
}

}  // namespace tool
