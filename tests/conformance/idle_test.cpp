// An idle program does not wake up: counted, not timed.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>

#include <unistd.h>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

namespace gort {
namespace {

struct looked {
  std::map<std::string, long> sleeps;  // how often each thread of ours has gone to sleep
  bool all_asleep = true;              // who was woken and has no CPU yet is not
};
looked look_at_our_threads() {
  looked now;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream status(task.path() / "status");
    std::string name;
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("Name:")) name = line.substr(6) + task.path().filename().string();
      if (!name.starts_with("gort-")) continue;
      if (line.starts_with("State:")) now.all_asleep &= line.find("sleeping") != line.npos;
      if (line.starts_with("voluntary_ctxt_switches:"))
        now.sleeps[name] = std::stol(line.substr(line.find(':') + 1));
    }
  }
  return now;
}

using namespace std::chrono_literals;

long sum(const std::map<std::string, long>& sleeps) {
  long all = 0;
  for (const auto& [name, count] : sleeps) all += count;
  return all;
}

// Settled when a whole while has passed without a wake-up; then it must stay so.
void expect_no_wake_ups() {
  looked before = look_at_our_threads();
  for (bool settled = false; !settled;) {
    std::this_thread::sleep_for(100ms);
    looked now = look_at_our_threads();
    settled = before.all_asleep && now.all_asleep && now.sleeps == before.sleeps;
    before = std::move(now);
  }
  ASSERT_GE(before.sleeps.size(), 2u) << "sysmon and an M at least";
  std::this_thread::sleep_for(1s);
  EXPECT_EQ(look_at_our_threads().sleeps, before.sleeps);
}

TEST(idle, no_thread_wakes_up_while_goroutines_wait_and_timers_are_far) {
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
  expect_no_wake_ups();
  gate.close();
  waiting.wait();
}

// sigwait() in a goroutine, for as long as the program lives, is one of these.
void expect_no_wake_ups_beside_a_call(bool announced) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  wait_group waiting;
  wait_group begun;
  begun.add(1);
  waiting.go([&] {
    begun.done();
    char byte;
    auto wait = [&] { return read(ends[0], &byte, 1); };
    EXPECT_EQ(announced ? blocking(wait) : wait(), 1);
  });
  begun.wait();
  expect_no_wake_ups();
  EXPECT_EQ(write(ends[1], "x", 1), 1);
  waiting.wait();
  close(ends[0]);
  close(ends[1]);
}

TEST(idle, no_thread_wakes_up_beside_a_call_that_was_announced) {
  expect_no_wake_ups_beside_a_call(true);
}

TEST(idle, no_thread_wakes_up_beside_a_call_that_was_not_announced) {
  expect_no_wake_ups_beside_a_call(false);
}

// 7 here, as Go, and more where others take the CPU away and sysmon has to look what became of a
// thread: such ticks do not count. sysmon's hasty first looks after each tick were 50 more.
TEST(idle, a_tick_wakes_threads_a_few_times) {
  wait_group ticking;
  ticking.go([] {
    constexpr long few = 20;
    ticker each(100ms);
    for (int i = 0; i < 3; ++i) each.c().recv();
    for (int good = 0; good < 10;) {
      const auto begun = std::chrono::steady_clock::now();
      const long before = sum(look_at_our_threads().sleeps);
      each.c().recv();
      const bool waited = std::chrono::steady_clock::now() - begun >= 50ms;
      good += waited && sum(look_at_our_threads().sleeps) - before <= few;
    }
  });
  ticking.wait();
}

}  // namespace
}  // namespace gort
