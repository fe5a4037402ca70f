// Profiles switched on and off at random while everything else goes on: channels, locks,
// exceptions, preemption, signals, libraries that come and go, threads that start and end.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <iterator>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gort/chan.hpp>
#include <gort/mutex.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/rw_mutex.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "support/run.hpp"
#include "support/seed.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

std::atomic<bool> done{false};
bool goes_on() { return !done.load(std::memory_order_relaxed); }

void throw_deep(int depth) {
  if (depth == 0) throw std::runtime_error(std::string(40, 'x'));
  throw_deep(depth - 1);
}

void compute() {
  std::atomic<unsigned> x{1};
  for (int i = 0; i < 100'000; ++i)
    x.store(x.load(std::memory_order_relaxed) * 3, std::memory_order_relaxed);
}

void load(wait_group& all, chan<int>& c, mutex& m, rw_mutex& rw) {
  all.go([&] {
    for (int i = 0; goes_on(); ++i) c.send(i);
    c.close();
  });
  all.go([&] {
    while (c.recv()) {
    }
  });
  for (int i = 0; i < 3; ++i) {
    all.go([&, i] {
      while (goes_on()) {
        const std::lock_guard guard(m);
        if (i == 0) gort::sleep(10us);
      }
    });
    all.go([&, i] {
      while (goes_on()) {
        if (i == 0) {
          const std::lock_guard guard(rw);
          runtime::gosched();
        } else {
          rw.lock_shared();
          runtime::gosched();
          rw.unlock_shared();
        }
      }
    });
  }
  all.go([] {
    while (goes_on()) {
      try {
        throw_deep(20);
      } catch (const std::exception&) {
      }
      runtime::gosched();
    }
  });
  all.go([] {
    while (goes_on()) {
      pprof::with_labels(pprof::labels("round", "trip"), [] { compute(); });
      gort::go([] {});
    }
  });
  all.go([] {
    while (goes_on()) {
      if (void* library = dlopen("libresolv.so.2", RTLD_NOW | RTLD_LOCAL)) dlclose(library);
      gort::sleep(1ms);
    }
  });
}

// Threads of nobody's that come and go, and signals of the program's own.
void others() {
  struct sigaction mine {};
  struct sigaction before {};
  mine.sa_handler = [](int) {};
  mine.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &mine, &before);
  while (goes_on()) {
    std::thread briefly([] { compute(); });
    pthread_kill(briefly.native_handle(), SIGUSR1);
    raise(SIGUSR1);
    briefly.join();
    std::this_thread::sleep_for(1ms);
  }
  sigaction(SIGUSR1, &before, nullptr);
}

constexpr const char* names[] = {"block", "mutex", "lockwait", "cputime", "timers"};

class switching : public ::testing::TestWithParam<int> {};

TEST_P(switching, profiles_on_and_off_at_random_under_load) {
  done.store(false, std::memory_order_relaxed);
  std::mt19937_64 random(test::seed());
  std::size_t bytes = 0, profiles = 0;
  test::with_procs(GetParam(), [&] {
    chan<int> c = make_chan<int>(4);
    mutex m;
    rw_mutex rw;
    wait_group all;
    load(all, c, m, rw);
    std::thread plain(others);
    bool cpu_on = false, wall_on = false;
    const auto sink = [&](std::string_view piece) { bytes += piece.size(); };
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::duration<double>(test::stress_seconds());
    // Until something has been written: where there is no CPU, not much happens.
    while (std::chrono::steady_clock::now() < end || bytes == 0) {
      switch (random() % 10) {
        case 0:
          if (!cpu_on) {
            pprof::set_cpu_profile_rate(static_cast<int>(random() % 2000));
            pprof::start_cpu_profile(sink);
            cpu_on = true;
          }
          break;
        case 1:
          pprof::stop_cpu_profile();
          profiles += cpu_on;
          cpu_on = false;
          break;
        case 2:
          runtime::set_block_profile_rate(static_cast<std::int64_t>(random() % 3) * 500);
          break;
        case 3: runtime::set_mutex_profile_fraction(static_cast<int>(random() % 3)); break;
        case 4:
          pprof::lookup(names[random() % std::size(names)])
              ->write_to(sink, static_cast<int>(random() % 2));
          break;
        case 5:
          if (!wall_on) pprof::start_wall_profile(sink);
          wall_on = true;
          break;
        case 6:
          pprof::stop_wall_profile();
          profiles += wall_on;
          wall_on = false;
          break;
        case 7:
          runtime::set_cpu_accounting(random() % 2 == 0);
          (void)pprof::cpu_time_by_labels();
          break;
        case 8: runtime::set_timer_profile(random() % 2 == 0); break;
        default: gort::sleep(std::chrono::milliseconds(random() % 8)); break;
      }
    }
    pprof::stop_cpu_profile();
    pprof::stop_wall_profile();
    done.store(true, std::memory_order_relaxed);
    all.wait();
    plain.join();
  });
  runtime::set_block_profile_rate(0);
  runtime::set_mutex_profile_fraction(0);
  pprof::set_cpu_profile_rate(0);
  runtime::set_cpu_accounting(false);
  runtime::set_timer_profile(false);
  EXPECT_GT(bytes, 0u);
  struct sigaction now {};
  sigaction(SIGPROF, nullptr, &now);
  EXPECT_EQ(now.sa_handler, SIG_DFL);
}

INSTANTIATE_TEST_SUITE_P(procs, switching, ::testing::Values(1, 2, 4, 8));

}  // namespace
}  // namespace gort
