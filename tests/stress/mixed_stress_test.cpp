// Everything at once, chosen at random: whoever holds a token does one of the things that a
// goroutine or a plain thread can do, and passes it on. No token is lost or doubled, whatever lost
// its P, was parked in place, waited with a deadline, or changed its thread meanwhile; and the
// world is stopped, resized and dumped all the time.
#include <poll.h>
#include <array>
#include <chrono>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/select.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "support/run.hpp"
#include "support/seed.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

constexpr int tokens = 24;
constexpr int holders = 16;
constexpr int plain_threads = 2;

struct world {
  chan<int> first = make_chan<int>();
  chan<int> second = make_chan<int>(3);
  mutex guarded;
  rw_mutex shared;
  semaphore few{2};
  detail::atomic<bool> stop;
  detail::atomic<int> inside_mutex;
  detail::atomic<int> inside_semaphore;
};

void compute(std::chrono::microseconds how_long) {
  const auto end = std::chrono::steady_clock::now() + how_long;
  while (std::chrono::steady_clock::now() < end) {
  }
}

void use_mutex(world& w, std::mt19937& random) {
  if (random() % 2 == 0) {
    w.guarded.lock();
  } else if (!w.guarded.try_lock_for(std::chrono::microseconds(random() % 300))) {
    return;
  }
  EXPECT_EQ(w.inside_mutex.fetch_add_relaxed(1), 0);
  if (random() % 8 == 0) runtime::gosched();
  if (random() % 64 == 0) poll(nullptr, 0, 1);
  EXPECT_EQ(w.inside_mutex.fetch_sub_relaxed(1), 1);
  w.guarded.unlock();
}

void use_semaphore(world& w, std::mt19937& random) {
  w.few.acquire();
  EXPECT_LT(w.inside_semaphore.fetch_add_relaxed(1), 2);
  if (random() % 4 == 0) runtime::gosched();
  EXPECT_GT(w.inside_semaphore.fetch_sub_relaxed(1), 0);
  w.few.release();
}

void use_shared(world& w, std::mt19937& random) {
  if (random() % 4 == 0) {
    w.shared.lock();
    w.shared.unlock();
  } else {
    w.shared.lock_shared();
    if (random() % 16 == 0) runtime::gosched();
    w.shared.unlock_shared();
  }
}

// A timer that fires and one that is stopped, at about the time when it fires.
void use_timers(std::mt19937& random) {
  const auto soon = std::chrono::microseconds(random() % 200);
  auto fires = make_chan<int>();
  select(fires.on_recv([](std::optional<int>) {}),
         after(soon).on_recv([](std::optional<std::chrono::steady_clock::time_point>) {}));
  timer one(soon);
  if (random() % 2 == 0) gort::sleep(soon);
  one.stop();
}

// A tree: who starts it waits for all.
void start_some(std::mt19937& random) {
  wait_group group;
  const auto count = random() % 6;
  for (std::mt19937::result_type i = 0; i < count; ++i)
    group.go([i] {
      if (i % 3 == 0) runtime::gosched();
      if (i % 5 == 4) poll(nullptr, 0, 0);
    });
  group.wait();
}

void do_something(world& w, std::mt19937& random) {
  switch (random() % 12) {
    case 0: return compute(std::chrono::microseconds(random() % 300));
    case 1: return use_mutex(w, random);
    case 2: return use_semaphore(w, random);
    case 3: return use_shared(w, random);
    case 4: return use_timers(random);
    case 5: return start_some(random);
    case 6: blocking([&] { poll(nullptr, 0, random() % 8 == 0 ? 1 : 0); }); return;
    case 7:
      if (random() % 8 == 0) poll(nullptr, 0, 1);
      return;
    case 8:
      runtime::lock_os_thread();
      runtime::gosched();
      use_mutex(w, random);
      runtime::unlock_os_thread();
      return;
    case 9:
      if (random() % 32 == 0) compute(15ms);
      return;
    default: runtime::gosched();
  }
}

// Until the channels are closed.
void hold_tokens(world& w, std::mt19937& random, chan<int> kept) {
  for (;;) {
    std::optional<int> token;
    select(w.first.on_recv([&](std::optional<int> got) { token = got; }),
           w.second.on_recv([&](std::optional<int> got) { token = got; }));
    if (!token) return;
    do_something(w, random);
    bool sent = false;
    while (!sent && !w.stop.load_relaxed()) {
      const auto patience = std::chrono::microseconds(random() % 400);
      switch (random() % 3) {
        case 0: sent = w.second.send_for(*token, patience); break;
        case 1:
          select(
              w.first.on_send(*token, [&] { sent = true; }),
              w.second.on_send(*token, [&] { sent = true; }),
              after(patience).on_recv([](std::optional<std::chrono::steady_clock::time_point>) {}));
          break;
        default: sent = w.first.try_send(*token);
      }
    }
    if (!sent) kept.send(*token);
  }
}

class mixed_stress : public ::testing::TestWithParam<int> {};

TEST_P(mixed_stress, no_token_is_lost) {
  const std::uint64_t seed = test::seed();
  test::with_procs(GetParam(), [&] {
    world w;
    auto kept = make_chan<int>(tokens);
    const auto holder = [&](std::uint64_t number) {
      std::mt19937 random(static_cast<std::uint32_t>(seed + number));
      hold_tokens(w, random, kept);
    };
    wait_group all;
    for (int i = 0; i < holders; ++i) all.go([&, i] { holder(static_cast<std::uint64_t>(i)); });
    std::vector<std::thread> others;
    for (int i = 0; i < plain_threads; ++i)
      others.emplace_back([&, i] { holder(1000 + static_cast<std::uint64_t>(i)); });
    all.go([&] {
      for (int i = 0; i < tokens; ++i) w.first.send(i);
    });
    std::mt19937 random(static_cast<std::uint32_t>(seed));
    std::vector<char> text(1 << 20);
    const auto end =
        std::chrono::steady_clock::now() + std::chrono::duration<double>(test::stress_seconds());
    while (std::chrono::steady_clock::now() < end) {
      gort::sleep(std::chrono::microseconds(random() % 4000));
      if (random() % 8 == 0) runtime::gomaxprocs(1 + static_cast<int>(random() % 6));
      if (random() % 8 == 0) runtime::stack(std::span(text.data(), text.size()), true);
    }
    w.stop.store_relaxed(true);
    // Those that are still under way come to rest in `kept`.
    std::array<int, tokens> seen{};
    const auto count = [&](std::optional<int> token) {
      if (token) ++seen.at(static_cast<std::size_t>(*token));
    };
    for (int i = 0; i < tokens; ++i)
      select(kept.on_recv(count), w.first.on_recv(count), w.second.on_recv(count));
    w.first.close();
    w.second.close();
    all.wait();
    for (std::thread& each : others) each.join();
    for (int token = 0; token < tokens; ++token)
      EXPECT_EQ(seen.at(static_cast<std::size_t>(token)), 1);
  });
}

INSTANTIATE_TEST_SUITE_P(procs, mixed_stress, ::testing::Values(1, 2, 4, 8));

}  // namespace
}  // namespace gort
