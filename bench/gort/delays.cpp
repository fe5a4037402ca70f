// How long goroutines wait for one that does not cooperate: it computes, or blocks its thread in
// code that knows nothing of gort; and how long a stop of the world takes while all compute. Twins:
// bench/peers/go/delays.go.
//
//   bench_delays ROW --procs N      prints one line of JSON, with times in microseconds
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <gort/blocking.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "row_main.hpp"
#include "sched/gmp/proc.hpp"

namespace {

using clock_type = std::chrono::steady_clock;
using namespace std::chrono_literals;

double us_since(clock_type::time_point start) {
  return std::chrono::duration<double, std::micro>(clock_type::now() - start).count();
}

// How late `count` sleeps of 1 ms end.
std::vector<double> late_sleeps(int count) {
  std::vector<double> late_us;
  for (int i = 0; i < count; ++i) {
    const auto due = clock_type::now() + 1ms;
    gort::sleep(1ms);
    late_us.push_back(us_since(due));
  }
  return late_us;
}

// A goroutine per P computes for ever.
template <class F>
std::vector<double> while_all_compute(F measure) {
  std::atomic<bool> stop{false};
  gort::wait_group all;
  const int procs = gort::runtime::gomaxprocs(0);
  for (int i = 0; i < procs; ++i) {
    all.go([&] {
      while (!stop.load(std::memory_order_relaxed)) {
      }
    });
  }
  std::vector<double> samples_us = measure();
  stop.store(true, std::memory_order_relaxed);
  all.wait();
  return samples_us;
}

std::vector<double> beside_computing() {
  return while_all_compute([] { return late_sleeps(300); });
}

// Each P's goroutine blocks its thread in read() for 50 ms, again and again; the writer is a plain
// thread.
template <class Read>
std::vector<double> beside_blocking(Read read_one) {
  std::atomic<bool> stop{false};
  gort::wait_group all;
  const int procs = gort::runtime::gomaxprocs(0);
  int ends[2];
  if (pipe(ends) != 0) return {};
  for (int i = 0; i < procs; ++i) {
    all.go([&] {
      char byte = 0;
      while (!stop.load(std::memory_order_relaxed)) {
        if (read_one(ends[0], &byte) != 1) return;
        gort::runtime::gosched();  // with a P again, to lose it again: as the twin's read() does
      }
    });
  }
  std::thread writer([&] {
    while (!stop.load(std::memory_order_relaxed)) {
      std::this_thread::sleep_for(50ms);
      for (int i = 0; i < procs; ++i) {
        if (write(ends[1], "x", 1) != 1) return;
      }
    }
    const std::string last(64, 'x');
    if (write(ends[1], last.data(), last.size()) < 0) return;
  });
  std::vector<double> samples_us = late_sleeps(300);
  stop.store(true, std::memory_order_relaxed);
  all.wait();
  writer.join();
  close(ends[0]);
  close(ends[1]);
  return samples_us;
}

// From the decision to stop until no goroutine runs.
std::vector<double> stop_the_world() {
  return while_all_compute([] {
    std::vector<double> samples_us;
    for (int i = 0; i < 500; ++i) {
      gort::sleep(1ms);
      const auto start = clock_type::now();
      gort::sched::stop_the_world(-1);
      samples_us.push_back(us_since(start));
      gort::sched::start_the_world();
    }
    return samples_us;
  });
}

// What the machine allows: plain threads compute, one signals all and waits for their answers.
std::vector<double> signal_all() {
  static sem_t answers;
  sem_init(&answers, 0, 0);
  std::signal(SIGUSR1, [](int) { sem_post(&answers); });
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < gort::runtime::gomaxprocs(0); ++i) {
    threads.emplace_back([&] {
      while (!stop.load(std::memory_order_relaxed)) {
      }
    });
  }
  std::vector<double> samples_us;
  for (int i = 0; i < 500; ++i) {
    std::this_thread::sleep_for(1ms);
    const auto start = clock_type::now();
    for (std::thread& each : threads) pthread_kill(each.native_handle(), SIGUSR1);
    for (std::size_t n = 0; n < threads.size(); ++n) {
      while (sem_wait(&answers) != 0) {
      }
    }
    samples_us.push_back(us_since(start));
  }
  stop.store(true, std::memory_order_relaxed);
  for (std::thread& each : threads) each.join();
  return samples_us;
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, std::function<std::vector<double>()>> rows = {
      {"beside_computing", beside_computing},
      {"beside_blocking",
       [] { return beside_blocking([](int from, char* to) { return read(from, to, 1); }); }},
      {"beside_announced",
       [] {
         return beside_blocking(
             [](int from, char* to) { return gort::blocking([&] { return read(from, to, 1); }); });
       }},
      {"stop_the_world", stop_the_world},
      {"signal_all", signal_all},
  };
  return row_main(argc, argv, rows, [](const char* row, const char* procs, std::vector<double> us) {
    std::sort(us.begin(), us.end());
    std::printf(
        "{\"row\": \"%s\", \"procs\": %s, \"median_us\": %.1f, \"p99_us\": %.1f, \"worst_us\": "
        "%.1f}\n",
        row, procs, us[us.size() / 2], us[us.size() * 99 / 100], us.back());
  });
}
