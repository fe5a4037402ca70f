// A storm of signals, of gort's own kind and of the program's, onto every thread, while goroutines
// do everything: nothing is lost, nothing fails with EINTR.
#include <sys/syscall.h>
#include <unistd.h>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/net.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
using detail::atomic;

atomic<long> handled;

// Runs f while each thread gets a signal some thousand times a second.
template <class F>
void in_a_storm(F f) {
  struct sigaction action {};
  action.sa_handler = [](int) { handled.fetch_add_relaxed(1); };  // and system calls end
  ASSERT_EQ(sigaction(SIGUSR1, &action, nullptr), 0);             // stays: some may arrive late
  atomic<int> stop;
  std::thread sender([&] {
    const int own = static_cast<int>(syscall(SYS_gettid));
    for (int round = 0; stop.load_relaxed() == 0; ++round) {
      for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        const int thread = std::stoi(task.path().filename());
        if (thread == own) continue;
        const int which = round % 2 == 0 ? SIGURG : SIGUSR1;
        syscall(SYS_tgkill, getpid(), thread, which);
      }
      std::this_thread::sleep_for(50us);
    }
  });
  f();
  while (handled.load_relaxed() == 0) std::this_thread::yield();  // the sender may be slow
  stop.store_relaxed(1);
  sender.join();
  EXPECT_GT(handled.load_relaxed(), 0);
}

class signal_stress : public ::testing::TestWithParam<int> {};

TEST_P(signal_stress, nothing_is_lost) {
  in_a_storm([&] {
    test::with_procs(GetParam(), [&] {
      const auto end = clock::now() + std::chrono::duration<double>(test::stress_seconds());
      auto over = [end] { return clock::now() >= end; };
      wait_group all;
      // Computing, with state that a handler could spoil.
      for (int i = 1; i <= 2; ++i) {
        all.go([&, i] {
          while (!over()) {
            double sums[8];
            for (int lane = 0; lane < 8; ++lane) sums[lane] = i + lane;
            for (int n = 0; n < 1000; ++n)
              for (double& each : sums) each += 1;
            for (int lane = 0; lane < 8; ++lane) ASSERT_EQ(sums[lane], i + lane + 1000);
          }
        });
      }
      // Channels and locks; each at least once, however late its turn comes.
      auto values = make_chan<long>(2);
      long sent = 0, received = 0;
      all.go([&] {
        do values.send(sent++);
        while (!over());
        values.close();
      });
      all.go([&] {
        for (long v : values) ASSERT_EQ(v, received++);
      });
      std::mutex outside;
      mutex inside;
      long counted = 0, locked = 0;
      for (int i = 0; i < 2; ++i) {
        all.go([&] {
          do {
            {
              const std::lock_guard guard(outside);
              ++counted;
            }
            const std::lock_guard guard(inside);
            ++locked;
          } while (!over());
        });
      }
      // Timers, allocation, exceptions, birth and death.
      all.go([&] {
        for (int n = 0; !over(); ++n) {
          gort::sleep(100us);
          wait_group one;
          one.go([n] {
            try {
              throw std::string(static_cast<std::size_t>(n % 500 + 1), 'x');
            } catch (const std::string& text) {
              ASSERT_EQ(text.size(), static_cast<std::size_t>(n % 500 + 1));
            }
          });
          one.wait();
        }
      });
      // The network.
      net::listener listener = net::listen("127.0.0.1:0");
      all.go([&] {
        net::conn c = listener.accept();
        std::byte buffer[64];
        std::error_code error;
        while (const std::size_t got = c.read(buffer, error))
          c.write(std::span(buffer).first(got), error);
        EXPECT_FALSE(error) << error.message();
      });
      all.go([&] {
        net::conn c = net::dial(background(), listener.local_endpoint().to_string());
        std::byte buffer[1];
        for (unsigned n = 0; !over(); ++n) {
          buffer[0] = static_cast<std::byte>(n);
          ASSERT_EQ(c.write(buffer), 1U);
          ASSERT_EQ(c.read(buffer), 1U);
          ASSERT_EQ(buffer[0], static_cast<std::byte>(n));
        }
      });
      all.wait();
      EXPECT_EQ(sent, received);
      EXPECT_GT(sent, 0);
      EXPECT_GT(locked, 0);
      EXPECT_GT(counted, 0);
    });
  });
}

INSTANTIATE_TEST_SUITE_P(procs, signal_stress, ::testing::Values(1, 2, 4, 8));

}  // namespace
}  // namespace gort
