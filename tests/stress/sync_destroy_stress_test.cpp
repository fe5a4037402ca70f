// Objects that the last user frees while the one before may still be on its way out of them. What
// finds a late access is AddressSanitizer; the interleavings themselves: tests/model.
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/detail/atomic.hpp>
#include <gort/errgroup.hpp>
#include <gort/runtime.hpp>
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

// Rounds of: a group that four goroutines are in, and that who has waited for them frees.
template <class Group, class... A>
void rounds_of_waiting(int procs, A... a) {
  test::with_procs(procs, [&] {
    const auto end = clock::now() + std::chrono::duration<double>(test::stress_seconds());
    while (clock::now() < end) {
      auto all = std::make_unique<Group>(a...);
      for (int i = 0; i < 4; ++i) all->go([] {});
      all->wait();
    }
  });
}

TEST_P(sync_destroy_stress, wait_group) { rounds_of_waiting<wait_group>(GetParam()); }
TEST_P(sync_destroy_stress, errgroup) { rounds_of_waiting<errgroup>(GetParam(), background()); }

TEST_P(sync_destroy_stress, semaphore) {
  struct guarded_by_units {
    explicit guarded_by_units(int n) : users(n) {}
    semaphore s{1};
    int users;  // by who has the unit
  };
  rounds<guarded_by_units>(GetParam(), [](guarded_by_units& o) {
    o.s.acquire();
    const bool last = --o.users == 0;
    o.s.release();
    return last;
  });
}

TEST_P(sync_destroy_stress, cond) {
  struct gathering {
    explicit gathering(int n) : away(n), inside(n) {}
    mutex m;
    cond all_here;
    int away, inside;  // guarded by m
  };
  rounds<gathering>(GetParam(), [](gathering& o) {
    o.m.lock();
    if (--o.away == 0) o.all_here.broadcast();
    o.all_here.wait(o.m, [&] { return o.away == 0; });
    const bool last = --o.inside == 0;
    o.m.unlock();
    return last;
  });
}

template <class Object>
struct counted {
  explicit counted(int n) : users(n) {}
  bool leave() { return users.fetch_sub_acq_rel(1) == 1; }  // pairs with itself
  Object of;
  detail::atomic<int> users;
};

TEST_P(sync_destroy_stress, single_flight) {
  using calls = counted<single_flight<int, int>>;
  rounds<calls>(GetParam(), [](calls& o) {
    (void)o.of.call(1, [] {
      runtime::gosched();
      return 1;
    });
    return o.leave();
  });
}

TEST_P(sync_destroy_stress, sync_pool) {
  using pool = counted<sync_pool<int>>;
  rounds<pool>(GetParam(), [](pool& o) {
    o.of.put(o.of.get());
    return o.leave();
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
