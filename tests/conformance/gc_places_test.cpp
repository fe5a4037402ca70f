// Where the runtime itself keeps values for goroutines: a managed pointer that is nowhere else
// lives there.
#include <gort/gc.hpp>

#include <array>
#include <chrono>
#include <coroutine>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/context.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/select.hpp>
#include <gort/single_flight.hpp>
#include <gort/time.hpp>

#include "support/gc_support.hpp"
#include "support/run.hpp"

namespace {

using namespace gort;
using namespace std::chrono_literals;
using test::collect_all;
using test::counted;
using test::ends;

using pointer = gc::ptr<counted>;

// put(p) stores the only pointer, take() gets it back.
template <class Put, class Take>
void expect_safe(Put put, Take take) {
  counted::reset();
  test::on_a_stack_of_its_own([&] { put(gc::make<counted>(1)); });
  collect_all();
  EXPECT_EQ(counted::ended(), 0);
  test::on_a_stack_of_its_own([&] {
    const pointer p = take();
    ASSERT_TRUE(p);
    p->check();
  });
  EXPECT_TRUE(ends(1));
}

TEST(gc_places, a_channel_buffer) {
  test::with_procs(2, [] {
    auto c = make_chan<pointer>(4);
    expect_safe([&](pointer p) { c.send(std::move(p)); }, [&] { return *c.recv(); });
  });
}

TEST(gc_places, a_sender_that_waits) {
  test::with_procs(2, [] {
    auto c = make_chan<pointer>();
    expect_safe([&](pointer p) { go([c, p = std::move(p)]() mutable { c.send(std::move(p)); }); },
                [&] { return *c.recv(); });
  });
}

TEST(gc_places, closures_of_goroutines_that_have_not_started) {
  test::with_procs(1, [] {
    counted::reset();
    constexpr int count = 1000;
    detail::atomic<int> ran;
    for (int i = 0; i < count; ++i) {
      go([&ran, p = gc::make<counted>(1)] {
        p->check();
        ran.fetch_add_relaxed(1);
      });
    }
    // There is one P, and it is busy here while a plain thread collects: few of them start before.
    detail::atomic<bool> collected;
    std::thread plain([&] {
      for (int i = 0; i < 3; ++i) runtime::gc();
      collected.store_relaxed(true);
    });
    while (!collected.load_relaxed() && ran.load_relaxed() != count) {
    }
    plain.join();
    while (ran.load_relaxed() != count) runtime::gosched();
    EXPECT_TRUE(ends(count));
  });
}

TEST(gc_places, a_closure_too_large_for_its_record) {
  test::with_procs(2, [] {
    auto gate = make_chan<char>();
    auto out = make_chan<pointer>(1);
    expect_safe(
        [&](pointer p) {
          std::array<char, 200> ballast{};
          go([gate, out, ballast, p = std::move(p)]() mutable {
            (void)ballast;
            gate.recv();
            out.send(std::move(p));
          });
        },
        [&] {
          gate.close();
          return *out.recv();
        });
  });
}

TEST(gc_places, a_timer) {
  test::with_procs(2, [] {
    auto out = make_chan<pointer>(1);
    std::optional<timer> later;
    expect_safe(
        [&](pointer p) {
          later.emplace(after_func(
              50ms, [out, p = std::move(p)]() mutable { (void)out.try_send(std::move(p)); }));
        },
        [&] {
          pointer p = *out.recv();
          later.reset();  // its function has a copy
          return p;
        });
  });
}

TEST(gc_places, select_cases) {
  test::with_procs(2, [] {
    auto c = make_chan<pointer>();
    auto never = make_chan<pointer>();
    expect_safe(
        [&](pointer p) {
          go([c, never, p = std::move(p)]() mutable {
            select(c.on_send(std::move(p), [] {}), never.on_recv([](auto) {}));
          });
        },
        [&] { return *c.recv(); });
  });
}

TEST(gc_places, context_values) {
  test::with_procs(2, [] {
    static const context_key<pointer> key;
    std::optional<context> ctx;
    counted::reset();
    test::on_a_stack_of_its_own([&] { ctx = with_value(background(), key, gc::make<counted>(1)); });
    collect_all();
    EXPECT_EQ(counted::ended(), 0);
    ctx.reset();
    EXPECT_TRUE(ends(1));
  });
}

TEST(gc_places, results_of_a_single_flight) {
  test::with_procs(2, [] {
    counted::reset();
    single_flight<int, pointer> flights;
    std::vector<pointer> results(3);
    auto gate = make_chan<char>(), done = make_chan<char>();
    for (pointer& each : results) {
      go([&, gate, done]() mutable {
        each = flights
                   .call(1,
                         [&] {
                           auto p = gc::make<counted>(1);
                           gate.recv();
                           return p;
                         })
                   .value;
        done.send(0);
      });
    }
    collect_all();
    gate.close();
    for (int i = 0; i < 3; ++i) done.recv();
    collect_all();
    for (const pointer& each : results) each->check();
    EXPECT_EQ(counted::ended(), 0);
    const int made = counted::made();
    results.clear();
    EXPECT_TRUE(ends(made));
  });
}

TEST(gc_places, goroutine_locals) {
  test::with_procs(2, [] {
    static goroutine_local<pointer> local;
    counted::reset();
    auto ready = make_chan<char>(), leave = make_chan<char>();
    go([ready, leave]() mutable {
      test::on_a_stack_of_its_own([] {});
      *local = gc::make<counted>(1);
      ready.close();
      leave.recv();
      (*local)->check();
    });
    ready.recv();
    collect_all();
    EXPECT_EQ(counted::ended(), 0);
    leave.close();
    EXPECT_TRUE(ends(1));
  });
}

thread_local pointer of_thread;

TEST(gc_places, a_thread_local_and_the_stack_of_a_plain_thread_asleep) {
  test::with_procs(2, [] {
    counted::reset();
    auto asleep = make_chan<char>(), wake = make_chan<char>();
    std::thread plain([&] {
      of_thread = gc::make<counted>(1);
      const pointer on_stack = gc::make<counted>(2);
      asleep.close();
      wake.recv();
      of_thread->check();
      on_stack->check();
      of_thread = nullptr;
    });
    asleep.recv();
    collect_all();
    EXPECT_EQ(counted::ended(), 0);
    wake.close();
    plain.join();
    EXPECT_TRUE(ends(2));
  });
}

TEST(gc_places, the_stack_of_a_goroutine_asleep_in_a_call_or_computing) {
  test::with_procs(2, [] {
    counted::reset();
    detail::atomic<int> there;
    detail::atomic<bool> leave;
    auto done = make_chan<char>();
    go([&] {
      const pointer p = gc::make<counted>(1);
      there.fetch_add_relaxed(1);
      while (!leave.load_relaxed()) std::this_thread::sleep_for(5ms);
      p->check();
      done.send(0);
    });
    go([&] {
      const pointer p = gc::make<counted>(2);
      const counted* raw = p.get();
      there.fetch_add_relaxed(1);
      while (!leave.load_relaxed()) {
      }
      raw->check();
      done.send(0);
    });
    while (there.load_relaxed() < 2) gort::sleep(1ms);
    for (int i = 0; i < 5; ++i) collect_all();
    EXPECT_EQ(counted::ended(), 0);
    leave.store_relaxed(true);
    done.recv();
    done.recv();
    EXPECT_TRUE(ends(2));
  });
}

struct coroutine {
  struct promise_type {
    coroutine get_return_object() {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
  std::coroutine_handle<promise_type> handle;
};

coroutine hold(pointer p) {
  const pointer local = p;
  co_await std::suspend_always();
  local->check();
}

TEST(gc_places, a_coroutine_frame) {
  test::with_procs(2, [] {
    counted::reset();
    coroutine suspended{};
    test::on_a_stack_of_its_own([&] {
      suspended = hold(gc::make<counted>(1));
      suspended.handle.resume();
    });
    collect_all();
    EXPECT_EQ(counted::ended(), 0);
    suspended.handle.resume();
    suspended.handle.destroy();
    EXPECT_TRUE(ends(1));
  });
}

}  // namespace
