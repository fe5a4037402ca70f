// For the tests of channels and select: parties of either kind, and a look at who stands in line.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>

#include "support/element.hpp"

namespace gort::test {

enum class who { goroutines, threads, mixed };

/// Runs functions as goroutines, as plain threads, or in turn as either, and waits for them.
class crew {
 public:
  explicit crew(who kind) : kind_(kind) {}
  ~crew() { join(); }
  crew(const crew&) = delete;
  crew& operator=(const crew&) = delete;

  void start(std::function<void()> f) {
    {
      std::lock_guard guard(mutex_);
      ++running_;
    }
    auto task = [this, f = std::move(f), n = started_, held = element(started_)] {
      f();
      EXPECT_EQ(held, n);
      std::lock_guard guard(mutex_);
      if (--running_ == 0) done_.notify_all();
    };
    const bool thread = kind_ == who::threads || (kind_ == who::mixed && started_ % 2 == 1);
    ++started_;
    if (thread)
      threads_.emplace_back(std::move(task));
    else
      go(std::move(task));
  }

  /// Ends the process when somebody hangs: there is no way to go on.
  void join() {
    constexpr std::chrono::seconds hang_bound{100};
    std::unique_lock guard(mutex_);
    if (!done_.wait_for(guard, hang_bound, [this] { return running_ == 0; })) {
      std::fprintf(stderr, "crew: %d of %d still running\n", running_, started_);
      std::abort();
    }
    guard.unlock();
    for (auto& t : threads_) t.join();
    threads_.clear();
  }

 private:
  who kind_;
  std::mutex mutex_;  // held for a moment only, so a goroutine may take it
  std::condition_variable done_;
  int running_ = 0;
  int started_ = 0;
  std::vector<std::thread> threads_;
};

/// Parameter of a test that runs with several numbers of Ps and kinds of parties.
struct setting {
  int procs;
  who kind;
};

class with_parties : public ::testing::TestWithParam<setting> {
 protected:
  void SetUp() override { before_ = runtime::gomaxprocs(GetParam().procs); }
  void TearDown() override { runtime::gomaxprocs(before_); }
  who kind() const { return GetParam().kind; }

 private:
  int before_ = 0;
};

inline std::string setting_name(const ::testing::TestParamInfo<setting>& info) {
  static constexpr const char* names[] = {"goroutines", "threads", "mixed"};
  return std::string(names[static_cast<int>(info.param.kind)]) + "_" +
         std::to_string(info.param.procs);
}

inline auto all_settings() {
  return ::testing::Values(setting{1, who::goroutines}, setting{2, who::goroutines},
                           setting{4, who::goroutines}, setting{1, who::mixed},
                           setting{4, who::mixed}, setting{2, who::threads});
}

// Opens what is protected: a pointer to member reaches it through a derived class.
template <class T>
struct chan_peek : detail::chan_handle<T> {
  static detail::chan_core& core(const detail::chan_handle<T>& c) {
    return *(c.*&chan_peek::body)();
  }
};
struct line_peek : detail::chan_core {
  static int length(detail::chan_core& c, bool senders) {
    detail::spin_guard guard(c.lock());
    int n = 0;
    const detail::waiter_list& line = senders ? c.*&line_peek::senders_ : c.*&line_peek::receivers_;
    for (const detail::waiter* w = line.head; w != nullptr; w = w->next) ++n;
    return n;
  }
};

template <class T>
int senders_in_line(const detail::chan_handle<T>& c) {
  return line_peek::length(chan_peek<T>::core(c), true);
}
template <class T>
int receivers_in_line(const detail::chan_handle<T>& c) {
  return line_peek::length(chan_peek<T>::core(c), false);
}

/// Lets others run until so many stand in line.
template <class T>
void await_senders(const detail::chan_handle<T>& c, int n) {
  while (senders_in_line(c) != n) std::this_thread::yield();
}
template <class T>
void await_receivers(const detail::chan_handle<T>& c, int n) {
  while (receivers_in_line(c) != n) std::this_thread::yield();
}

/// An int that throws at its move when told to, and counts its instances.
struct grenade {
  static inline detail::atomic<int> alive;
  int value;
  bool armed = false;
  int spare_moves = 0;  // moves that an armed one still survives

  explicit grenade(int v, bool throws = false, int spare = 0)
      : value(v), armed(throws), spare_moves(spare) {
    alive.fetch_add_relaxed(1);
  }
  grenade(grenade&& other) noexcept(false)
      : value(other.value), armed(other.armed), spare_moves(other.spare_moves - 1) {
    if (other.armed && other.spare_moves == 0) throw std::runtime_error("boom");
    other.value = -1;
    alive.fetch_add_relaxed(1);
  }
  grenade& operator=(grenade&&) = delete;
  ~grenade() { alive.fetch_sub_relaxed(1); }
};

template <class F>
std::string what_of(F f) {
  try {
    f();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}

}  // namespace gort::test
