// Objects that the last user frees while the one before may still be on its way out of them. What
// finds a late access is AddressSanitizer; the interleavings themselves: tests/model.
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "support/run.hpp"

namespace gort {
namespace {

using clock = std::chrono::steady_clock;

// Rounds of: make an object, hand it to three goroutines and a thread that all use it, and whose
// last frees it.
template <class Object, class Use>
void rounds(int procs, Use use) {
  constexpr int goroutines = 3;
  test::with_procs(procs, [&] {
    auto for_thread = make_chan<Object*>();
    auto ended = make_chan<unit>();
    std::thread plain([&] {
      for (Object* o : for_thread) {
        if (use(*o)) delete o;
        ended.send({});
      }
    });
    const auto end = clock::now() + std::chrono::duration<double>(test::stress_seconds());
    while (clock::now() < end) {
      auto* o = new Object(goroutines + 1);
      for (int i = 0; i < goroutines; ++i)
        go([=] {
          if (use(*o)) delete o;
          ended.send({});
        });
      for_thread.send(o);
      for (int i = 0; i <= goroutines; ++i) ended.recv();
    }
    for_thread.close();
    gort::sleep(std::chrono::milliseconds(1));
    plain.join();
  });
}

class sync_destroy_stress : public ::testing::TestWithParam<int> {};

template <class Mutex>
struct guarded {
  explicit guarded(int n) : users(n) {}
  Mutex m;
  int users;  // guarded by m
};

TEST_P(sync_destroy_stress, mutex) {
  rounds<guarded<mutex>>(GetParam(), [](guarded<mutex>& o) {
    o.m.lock();
    const bool last = --o.users == 0;
    o.m.unlock();
    return last;
  });
}

TEST_P(sync_destroy_stress, rw_mutex) {
  rounds<guarded<rw_mutex>>(GetParam(), [](guarded<rw_mutex>& o) {
    o.m.lock_shared();
    o.m.unlock_shared();
    o.m.lock();
    const bool last = --o.users == 0;
    o.m.unlock();
    return last;
  });
}

TEST_P(sync_destroy_stress, wait_group) {
  test::with_procs(GetParam(), [] {
    const auto end = clock::now() + std::chrono::duration<double>(test::stress_seconds());
    while (clock::now() < end) {
      auto all = std::make_unique<wait_group>();
      for (int i = 0; i < 4; ++i) all->go([] {});
      all->wait();
    }
  });
}

TEST_P(sync_destroy_stress, channel_with_one_handle) {
  test::with_procs(GetParam(), [] {
    const auto end = clock::now() + std::chrono::duration<double>(test::stress_seconds());
    for (int i = 0; clock::now() < end; ++i) {
      auto c = std::make_unique<chan<int>>(make_chan<int>(i % 2));
      go([&shared = *c] { shared.send(1); });
      c->recv();
      c.reset();
    }
  });
}

INSTANTIATE_TEST_SUITE_P(procs, sync_destroy_stress, ::testing::Values(1, 2, 4));

}  // namespace
}  // namespace gort
