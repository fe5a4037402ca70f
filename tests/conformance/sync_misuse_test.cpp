// What is thrown, or ends a goroutine, in the middle: the object stays usable, and those who wait
// with it are told.
#include <chrono>
#include <functional>
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

// Throws at the move with that number.
struct bad_move {
  int left;
  explicit bad_move(int moves) : left(moves) {}
  bad_move(bad_move&& from) : left(from.left - 1) {
    if (left == 0) throw std::runtime_error("move");
  }
  void operator()() const {}
};

TEST(errgroup, a_function_that_cannot_be_moved_leaves_its_place) {
  run([] {
    for (int moves = 1; moves < 8; ++moves) {
      errgroup group;
      group.set_limit(1);
      try {
        group.go(bad_move(moves));
      } catch (const std::runtime_error& e) {
        EXPECT_STREQ(e.what(), "move");
      }
      group.wait();
      EXPECT_TRUE(group.try_go([] {})) << moves;
      group.wait();
      try {
        static_cast<void>(group.try_go(bad_move(moves)));
      } catch (const std::runtime_error&) {
      }
      group.wait();
      EXPECT_TRUE(group.try_go([] {})) << moves;
    }
  });
}

// What is moved from says so, or is still what it was.
TEST(moved_from, may_be_used) {
  run([] {
    ticker t(1h);
    const ticker took = std::move(t);
    EXPECT_EQ(message_of([&] { t.stop(); }), "gort: use of a ticker that was moved from");
    EXPECT_EQ(message_of([&] { t.reset(1ms); }), "gort: use of a ticker that was moved from");
    EXPECT_EQ(message_of([&] { static_cast<void>(t.c()); }),
              "gort: use of a ticker that was moved from");

    int calls = 0;
    auto f = once_func([&] { ++calls; });
    const auto f_took = std::move(f);
    f();
    f_took();
    EXPECT_EQ(calls, 1);
    auto v = once_value([&] { return ++calls; });
    const auto v_took = std::move(v);
    EXPECT_EQ(&v(), &v_took());
    EXPECT_EQ(calls, 2);
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

// What is called later is looked at when it is handed over: there stands who has made the mistake.
TEST(nil_functions, are_refused_at_once) {
  const std::function<void()> empty;
  void (*const null)() = nullptr;
  const auto refuses = [&](const std::string& text, auto take) {
    EXPECT_EQ(message_of([&] { take(empty); }), text);
    EXPECT_EQ(message_of([&] { take(null); }), text);
  };
  refuses("go of nil func value", [](auto f) { run(f); });
  run([&] {
    const std::string of_go = "go of nil func value";
    refuses(of_go, [](auto f) { go(f); });
    refuses(of_go, [](auto f) { go({.name = "nobody"}, f); });
    EXPECT_EQ(message_of([] { go(std::function<void(int)>(), 1); }), of_go);
    wait_group group;
    refuses(of_go, [&](auto f) { group.go(f); });
    group.wait();  // nothing was counted
    errgroup limited;
    limited.set_limit(1);
    refuses(of_go, [&](auto f) { limited.go(f); });
    refuses(of_go, [&](auto f) { static_cast<void>(limited.try_go(f)); });
    EXPECT_TRUE(limited.try_go([] {})) << "a place was taken";
    limited.wait();
    refuses("time: AfterFunc of a nil function",
            [](auto f) { static_cast<void>(after_func(0ms, f)); });
    refuses("context: AfterFunc of a nil function",
            [](auto f) { after_func(with_timeout(background(), 0ms).ctx, f); });
    refuses("sync: OnceFunc of a nil function", [](auto f) { once_func(f); });
    EXPECT_EQ(message_of([] { once_value(std::function<int()>()); }),
              "sync: OnceValue of a nil function");
    sync_pool<int> pool(nullptr);
    EXPECT_EQ(pool.get(), nullptr) << "as Go's without New";
  });
}

TEST(semaphore, releasing_more_than_is_held_changes_nothing) {
  with_procs(2, [] {
    semaphore units(2);
    units.acquire(2);
    wait_group woken;
    woken.go([&] { units.acquire(); });
    while (units.try_acquire(0)) runtime::gosched();  // until it stands in line
    EXPECT_EQ(message_of([&] { units.release(3); }), "semaphore: released more than held");
    EXPECT_EQ(message_of([&] { units.release(-1); }), "semaphore: negative weight");
    EXPECT_EQ(message_of([&] { units.acquire(3); }),
              "semaphore: acquire of more than its size would block for ever");
    units.release(2);
    woken.wait();  // hangs if it got nothing
    EXPECT_FALSE(units.try_acquire(2));
    units.release();
    EXPECT_EQ(message_of([&] { units.release(); }), "semaphore: released more than held");
    EXPECT_TRUE(units.try_acquire(2));
  });
}

}  // namespace
}  // namespace gort
