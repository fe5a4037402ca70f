// A goroutine that is parked in place while it holds what another one waits for inside gort.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <utility>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/wait_group.hpp>

#include "support/breathe.hpp"
#include "support/run.hpp"

namespace gort::test {

// Its move takes a lock of the user, as one that allocates takes malloc's.
struct moved_under_lock {
  explicit moved_under_lock(std::mutex& l) : lock(&l) {}
  moved_under_lock(moved_under_lock&& from) noexcept : lock(from.lock) {
    const std::lock_guard guard(*lock);
  }
  moved_under_lock& operator=(moved_under_lock&& from) noexcept {
    lock = from.lock;
    const std::lock_guard guard(*lock);
    return *this;
  }
  std::mutex* lock;
};

// The holder of a lock is parked in place while a channel operation waits for that lock inside
// gort, and so cannot give its processor up [hand-6]. `afterwards`: on the holder, which may be a
// stray then.
inline void with_a_lock_wanted_inside_gort(
    int procs, std::chrono::milliseconds held_for, const std::function<void()>& meanwhile,
    const std::function<void()>& afterwards = [] {}) {
  with_procs(procs, [&] {
    std::mutex lock;
    std::atomic<bool> is_held{false};
    auto channel = make_chan<moved_under_lock>(1);
    wait_group all;
    all.go([&] {
      moved_under_lock moved(lock);
      while (!is_held.load(std::memory_order_relaxed)) runtime::gosched();
      channel.send(std::move(moved));
    });
    all.go([&] {
      {
        const std::lock_guard guard(lock);
        is_held.store(true, std::memory_order_relaxed);
        const auto end = std::chrono::steady_clock::now() + held_for;
        while (std::chrono::steady_clock::now() < end) breathe();
      }
      afterwards();
    });
    meanwhile();
    all.wait();
    EXPECT_TRUE(channel.recv().has_value());
  });
}

}  // namespace gort::test
