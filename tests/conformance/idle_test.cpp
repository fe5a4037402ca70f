// An idle program does not wake up: counted, not timed.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

namespace gort {
namespace {

// How often each thread of ours has gone to sleep.
std::map<std::string, long> sleeps_of_our_threads() {
  std::map<std::string, long> count;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream status(task.path() / "status");
    std::string name;
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("Name:")) name = line.substr(6) + task.path().filename().string();
      if (line.starts_with("voluntary_ctxt_switches:") && name.starts_with("gort-"))
        count[name] = std::stol(line.substr(line.find(':') + 1));
    }
  }
  return count;
}

TEST(idle, no_thread_wakes_up_while_goroutines_wait_and_timers_are_far) {
  using namespace std::chrono_literals;
  auto gate = make_chan<int>();
  wait_group waiting;
  wait_group begun;  // under ThreadSanitizer that takes seconds
  constexpr int goroutines = 1000;
  begun.add(goroutines);
  for (int i = 0; i < goroutines; ++i) {
    waiting.go([gate, i, &begun] {
      begun.done();
      if (i % 2 == 0)
        gate.recv();
      else
        (void)gate.recv_for(1h);
    });
  }
  begun.wait();
  // Settled when a whole while has passed without a wake-up; then it must stay so.
  auto before = sleeps_of_our_threads();
  for (int tries = 0; tries < 50; ++tries) {
    std::this_thread::sleep_for(100ms);
    auto now = sleeps_of_our_threads();
    if (now == before) break;
    before = std::move(now);
  }
  ASSERT_GE(before.size(), 2u) << "sysmon and an M at least";
  std::this_thread::sleep_for(1s);
  EXPECT_EQ(sleeps_of_our_threads(), before);
  gate.close();
  waiting.wait();
}

}  // namespace
}  // namespace gort
