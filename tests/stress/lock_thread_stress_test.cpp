// Locked and unlocked goroutines that depend on each other, while the world changes around them.
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "support/run.hpp"
#include "support/seed.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

int thread_id() { return static_cast<int>(syscall(SYS_gettid)); }

// Each sends on and awaits an answer; each third is locked for a while, some end locked.
void ring(std::uint64_t seed, std::atomic<bool>& stop) {
  constexpr int members = 6;
  std::vector<chan<int>> between;
  for (int i = 0; i < members; ++i) between.push_back(make_chan<int>(i % 2));
  wait_group all;
  for (int i = 0; i < members; ++i) {
    all.go([&, i] {
      std::mt19937_64 random(seed + static_cast<std::uint64_t>(i));
      const auto& from = between[static_cast<std::size_t>(i)];
      const auto& to = between[static_cast<std::size_t>((i + 1) % members)];
      int mine = 0;  // the thread, while locked
      while (auto token = from.recv()) {
        if (mine != 0) {
          ASSERT_EQ(thread_id(), mine);
        }
        switch (random() % 16) {
          case 0:
            if (mine == 0 && i % 3 == 0) {
              runtime::lock_os_thread();
              mine = thread_id();
            }
            break;
          case 1:
            if (mine != 0) {
              mine = 0;
              runtime::unlock_os_thread();
            }
            break;
          case 2: runtime::gosched(); break;
          case 3: gort::sleep(10us); break;
          case 4: blocking([] { std::this_thread::yield(); }); break;
          case 5: {
            const auto end = std::chrono::steady_clock::now() + 100us;
            while (std::chrono::steady_clock::now() < end) {
            }
            break;
          }
          default: break;
        }
        if (i == 0 && stop.load(std::memory_order_relaxed)) break;
        if (!to.try_send(*token + 1)) to.send(*token + 1);
      }
      if (i != 0) {
        to.close();
        return;  // perhaps locked: the thread goes too
      }
      to.close();
      while (from.recv()) {
      }
      if (mine != 0) runtime::unlock_os_thread();
    });
  }
  between[0].send(0);
  all.wait();
}

TEST(lock_thread_stress, rings_of_locked_and_unlocked_goroutines) {
  const std::uint64_t seed = test::seed();
  for (int procs : {1, 2, 4}) {
    test::with_procs(procs, [&] {
      std::atomic<bool> stop{false};
      wait_group rings;
      for (std::uint64_t n = 0; n < 4; ++n)
        rings.go([&, n] {
          for (std::uint64_t round = 0; !stop.load(std::memory_order_relaxed); ++round) {
            std::atomic<bool> this_round{false};
            wait_group both;
            both.go([&] {
              gort::sleep(5ms);
              this_round.store(true, std::memory_order_relaxed);
            });
            ring(seed + 1000 * n + 100 * round, this_round);
            both.wait();
          }
        });
      // Two that compute for longer than a time slice: they are parked in place, and a locked
      // goroutine that leaves may pick them.
      for (int i = 0; i < 2; ++i)
        rings.go([&] {
          for (auto next = std::chrono::steady_clock::now(); !stop.load(std::memory_order_relaxed);)
            if (std::chrono::steady_clock::now() >= next) {
              runtime::gosched();
              next = std::chrono::steady_clock::now() + 25ms;
            }
        });
      std::vector<char> text(1 << 20);
      const auto end =
          std::chrono::steady_clock::now() + std::chrono::duration<double>(test::stress_seconds());
      for (int round = 0; std::chrono::steady_clock::now() < end; ++round) {
        gort::sleep(2ms);
        if (round % 8 == 3) runtime::gomaxprocs(1 + round % 5);
        if (round % 8 == 7) runtime::stack(std::span(text.data(), text.size()), true);
      }
      runtime::gomaxprocs(procs);
      stop.store(true, std::memory_order_relaxed);
      rings.wait();
    });
  }
}

}  // namespace
}  // namespace gort
