// What is thrown, or ends a goroutine, in the middle: the object stays usable, and those who wait
// with it are told.
#include <chrono>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include <gtest/gtest.h>

#include <gort/errgroup.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "support/parties.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using test::message_of;
using test::with_procs;

// A waiter that is none must not get what is meant for one that is.
template <class Misuse>
void expect_signal_reaches_the_waiter(Misuse misuse) {
  with_procs(2, [&] {
    mutex m;
    cond c;
    misuse(c, m);
    bool waits = false;  // guarded by m
    wait_group woken;
    woken.go([&] {
      const std::lock_guard guard(m);
      waits = true;
      c.wait(m);
    });
    for (bool seen = false; !seen; runtime::gosched()) {
      const std::lock_guard guard(m);
      seen = waits;
    }
    c.signal();
    woken.wait();  // hangs if the signal went elsewhere
  });
}

TEST(cond, waiting_with_an_unlocked_mutex_leaves_nothing_behind) {
  expect_signal_reaches_the_waiter([](cond& c, mutex& m) {
    EXPECT_EQ(message_of([&] { c.wait(m); }), "sync: unlock of unlocked mutex");
  });
  expect_signal_reaches_the_waiter([](cond& c, mutex& m) {
    EXPECT_EQ(message_of([&] { static_cast<void>(c.wait_for(m, 1h)); }),
              "sync: unlock of unlocked mutex");
  });
  expect_signal_reaches_the_waiter([](cond& c, mutex& m) {
    std::unique_lock not_owned(m, std::defer_lock);
    EXPECT_THROW(c.wait(not_owned), std::system_error);
  });
}

// A lock whose unlock() lets a signal come in, and then throws.
struct late_failure {
  cond& c;
  void lock() {}
  void unlock() {
    c.signal();
    throw std::runtime_error("unlock");
  }
};

TEST(cond, a_signal_that_comes_before_the_unlock_throws_is_passed_on) {
  run([] {
    mutex m;
    cond c;
    bool waits = false;  // guarded by m
    wait_group woken;
    woken.go([&] {
      const std::lock_guard guard(m);
      waits = true;
      c.wait(m);
    });
    // The failing one is first in line, so it is the one that the signal finds.
    struct first_in_line : late_failure {
      mutex& m;
      bool& waits;
      void unlock() {
        for (bool seen = false; !seen; runtime::gosched()) {  // the other stands behind us
          const std::lock_guard guard(m);
          seen = waits;
        }
        late_failure::unlock();
      }
    } lock{{c}, m, waits};
    EXPECT_THROW(c.wait(lock), std::runtime_error);
    woken.wait();
  });
}

TEST(wait_group, one_too_many_changes_nothing) {
  run([] {
    wait_group group;
    EXPECT_EQ(message_of([&] { group.done(); }), "sync: negative WaitGroup counter");
    group.wait();
    group.add(2);
    EXPECT_EQ(message_of([&] { group.add(-3); }), "sync: negative WaitGroup counter");
    group.add(-2);
    group.wait();
    group.add(0x7fffffff);
    EXPECT_EQ(message_of([&] { group.add(1); }), "sync: WaitGroup counter overflow");
    group.add(-0x7fffffff);
    group.wait();
  });
}

TEST(rw_mutex, misuse_changes_nothing) {
  rw_mutex m;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(message_of([&] { m.unlock(); }), "sync: Unlock of unlocked RWMutex");
    EXPECT_EQ(message_of([&] { m.unlock_shared(); }), "sync: RUnlock of unlocked RWMutex");
    m.lock();
    EXPECT_EQ(message_of([&] { m.unlock_shared(); }), "sync: RUnlock of unlocked RWMutex");
    m.unlock();
    m.lock_shared();
    EXPECT_EQ(message_of([&] { m.unlock(); }), "sync: Unlock of unlocked RWMutex");
    m.unlock_shared();
  }
}

TEST(once, a_function_that_throws_has_been_called) {
  once o;
  EXPECT_THROW(o.call([] { throw std::runtime_error("x"); }), std::runtime_error);
  o.call([] { FAIL(); });
}

TEST(single_flight, goexit_is_no_value) {
  run([] {
    single_flight<int, std::string> flight;
    auto inside = make_chan<unit>();
    auto leave = make_chan<unit>();
    auto said = make_chan<std::string>(1);
    go([&] {
      flight.call(1, [&]() -> std::string {
        inside.send({});
        leave.recv();
        runtime::goexit();
      });
    });
    inside.recv();
    go([&] {
      std::string got;
      const std::string message =
          message_of([&] { got = flight.call(1, [] { return std::string("own"); }).value; });
      said.send(got.empty() ? message : message + ": " + got);
    });
    // Whether the other has joined already nobody can see; if it comes later, it makes its own.
    for (int i = 0; i < 100; ++i) runtime::gosched();
    leave.send({});
    const auto heard = *said.recv();
    EXPECT_TRUE(heard == "singleflight: the function ended its goroutine" ||
                heard == "nothing was thrown: own");
    EXPECT_EQ(flight.call(1, [] { return std::string("later"); }).value, "later");
  });
}

TEST(single_flight, whatever_is_thrown_reaches_all) {
  run([] {
    single_flight<int, int> flight;
    EXPECT_THROW(flight.call(1, []() -> int { throw 42; }), int);
  });
}

enum class failing { no, yes };

TEST(errgroup, whatever_means_failure_is_one) {
  run([] {
    errgroup thrown(background());
    thrown.go([] { throw 42; });
    EXPECT_THROW(thrown.wait(), int);
    EXPECT_TRUE(thrown.context().err());

    errgroup ended(background());
    ended.go([] { runtime::goexit(); });
    EXPECT_EQ(message_of([&] { ended.wait(); }),
              "errgroup: a function of the group ended its goroutine");

    errgroup coded(background());
    coded.go([] { return context_error::canceled; });
    std::error_code error;
    coded.wait(error);
    EXPECT_EQ(error, context_error::canceled);
  });
}

template <class F>
concept accepted = requires(errgroup& g, F f) {
  g.go(f);
};

TEST(errgroup, results_that_would_be_dropped_are_refused) {
  static_assert(accepted<void (*)()>);
  static_assert(accepted<std::error_code (*)()>);
  static_assert(accepted<std::errc (*)()> == std::is_convertible_v<std::errc, std::error_code>);
  static_assert(accepted<context_error (*)()>);
  static_assert(!accepted<bool (*)()>);
  static_assert(!accepted<int (*)()>);
  static_assert(!accepted<failing (*)()>);
  static_assert(!accepted<std::error_condition (*)()>);
}

}  // namespace
}  // namespace gort
