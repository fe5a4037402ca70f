// Timers and tickers: what Go's documentation promises, durations of every size, and where what a
// timer calls runs.
#include <chrono>
#include <ctime>
#include <limits>
#include <memory>
#include <mutex>

#include <gtest/gtest.h>

#include <gort/context.hpp>
#include <gort/detail/timer_node.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "support/element.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
using test::element;
using test::with_procs;

TEST(timer, what_nobody_has_received_is_taken_back) {
  run([] {
    timer t(1ms);
    gort::sleep(20ms);
    EXPECT_TRUE(t.reset(1h));
    EXPECT_TRUE(t.stop());
    EXPECT_FALSE(t.stop());
    EXPECT_FALSE(t.c().try_recv().ready);
    t.reset(1ms);
    t.c().recv();
    EXPECT_FALSE(t.stop());  // it has been received
    EXPECT_FALSE(t.reset(1ms));
    gort::sleep(20ms);
    if (!t.stop()) t.c().recv();  // Go's idiom until 1.22 does not block
  });
}

TEST(timer, channels_have_no_length_and_no_capacity) {
  run([] {
    timer t(1ns);
    ticker k(1ms);
    const auto a = after(1ns);
    gort::sleep(10ms);
    EXPECT_EQ(t.c().cap(), 0u);
    EXPECT_EQ(t.c().len(), 0u);
    EXPECT_EQ(k.c().cap(), 0u);
    EXPECT_EQ(k.c().len(), 0u);
    EXPECT_EQ(a.cap(), 0u);
    EXPECT_EQ(a.len(), 0u);
    EXPECT_TRUE(t.c().try_recv());
    EXPECT_TRUE(k.c().recv());
    EXPECT_TRUE(a.recv());
  });
}

TEST(ticker, any_interval_ticks_again_and_again) {
  run([] {
    using picoseconds = std::chrono::duration<std::int64_t, std::pico>;
    for (const auto interval : {picoseconds(1), picoseconds(1ns), picoseconds(20ns)}) {
      ticker t(interval);
      for (int i = 0; i < 3; ++i) t.c().recv();
      ticker r(1h);
      r.reset(interval);
      for (int i = 0; i < 3; ++i) r.c().recv();
    }
  });
}

// A period is what was asked for, not less by what passes between two looks at the clock.
TEST(ticker, the_period_is_the_interval) {
  for (const auto d : {1ns, 1000ns, 20'000ns, 1'000'000'000ns})
    EXPECT_EQ(detail::period_of(d), d.count());
  EXPECT_EQ(detail::period_of(1h), 3'600'000'000'000);
  EXPECT_EQ(detail::period_of(std::chrono::hours::max()), detail::never_ns);
}

struct copied {
  chan<std::uint64_t> where;
  copied(chan<std::uint64_t> c) : where(c) {}
  copied(copied&&) = default;
  copied(const copied& other) : where(other.where) { where.send(this_goroutine::id()); }
  void operator()() const { where.send(this_goroutine::id()); }
};

TEST(timer, a_function_is_copied_in_the_goroutine_that_calls_it) {
  with_procs(1, [] {
    auto where = make_chan<std::uint64_t>(8);
    const timer t = after_func(1ms, copied(where));
    const auto in_copy = where.recv();
    const auto in_call = where.recv();
    EXPECT_EQ(in_copy, in_call);
    EXPECT_NE(in_copy, this_goroutine::id());
  });
}

TEST(timer, a_function_that_cannot_be_copied_is_called_itself) {
  run([] {
    auto got = make_chan<element>(1);
    const timer t = after_func(1ms, [p = std::make_unique<element>(5), got] { got.send(*p); });
    EXPECT_EQ(got.recv(), 5);
  });
}

TEST(timer, the_last_handle_stops_and_stop_and_wait_waits) {
  run([] {
    auto begun = make_chan<unit>();
    auto go_on = make_chan<unit>();
    bool ended = false;
    timer t = after_func(1ms, [&] {
      begun.send({});
      go_on.recv();
      ended = true;
    });
    begun.recv();
    go([&] { go_on.send({}); });
    EXPECT_FALSE(t.stop_and_wait());
    EXPECT_TRUE(ended);
    timer never = after_func(1h, [] { FAIL(); });
    EXPECT_TRUE(never.stop_and_wait());
    detail::atomic<bool> ran;
    const auto when = clock::now() + 10ms;
    {
      const timer dropped = after_func(when - clock::now(), [&] { ran.store_relaxed(true); });
    }
    const bool in_time = clock::now() < when;
    gort::sleep(20ms);
    EXPECT_FALSE(in_time && ran.load_relaxed());
  });
}

struct where_fired : detail::timer_node {
  detail::atomic<int> in_goroutine{-1};
  where_fired()
      : timer_node([](timer_node& self, std::int64_t) {
          static_cast<where_fired&>(self).in_goroutine.store_release(
              detail::is_goroutine(*detail::current_g()) ? 1 : 0);  // pairs with the test's acquire
        }) {}
};

TEST(timer, fires_on_the_system_s_stack) {
  with_procs(1, [] {
    wait_group crowd;
    bool stop = false;
    for (int i = 0; i < 4; ++i)
      crowd.go([&] {
        while (!stop) runtime::gosched();  // somebody parks or yields all the time
      });
    for (int i = 0; i < 20; ++i) {
      where_fired each;
      detail::timer_start(each, detail::now_ns() + 100'000);
      while (each.in_goroutine.load_acquire() < 0) runtime::gosched();
      EXPECT_EQ(each.in_goroutine.load_acquire(), 0);
      detail::timer_stop(each);
    }
    stop = true;
    crowd.wait();
  });
}

constexpr clock::time_point long_ago{std::chrono::nanoseconds(-1)};

// What has passed does not block, and what lies beyond all clocks is not lost.
TEST(durations, negative_and_before_the_epoch) {
  run([] {
    constexpr auto least = std::chrono::nanoseconds::min();
    for (const auto d : {least, -1ns, 0ns}) {
      gort::sleep(d);
      after(d).recv();
      timer t(d);
      t.c().recv();
      t.reset(d);
      t.c().recv();
      EXPECT_THROW(ticker{d}, runtime_error);
      auto ran = make_chan<unit>(1);
      const timer f = after_func(d, [=] { ran.send({}); });
      ran.recv();
      mutex m;
      m.lock();
      EXPECT_FALSE(m.try_lock_for(d));
      cond c;
      EXPECT_FALSE(c.wait_for(m, d));
      m.unlock();
      EXPECT_FALSE(ran.recv_for(d).ready);
      EXPECT_TRUE(ran.send_for({}, d));
      EXPECT_FALSE(ran.send_for({}, d));
      auto [ctx, cancel] = with_timeout(background(), d);
      EXPECT_EQ(ctx.err(), context_error::deadline_exceeded);
    }
    for (const auto when : {clock::time_point::min(), long_ago, clock::time_point{}}) {
      sleep_until(when);
      mutex m;
      m.lock();
      EXPECT_FALSE(m.try_lock_until(when));
      m.unlock();
      auto c = make_chan<element>();
      EXPECT_FALSE(c.recv_until(when).ready);
      EXPECT_FALSE(c.send_until(1, when));
      EXPECT_FALSE(chan<element>().recv_until(when).ready);
      auto [ctx, cancel] = with_deadline(background(), when);
      EXPECT_EQ(ctx.err(), context_error::deadline_exceeded);
    }
    using far_clock = std::chrono::system_clock;
    auto c = make_chan<element>();
    EXPECT_FALSE(c.recv_until(far_clock::time_point::min()).ready);
    EXPECT_FALSE(c.recv_until(std::chrono::sys_time<std::chrono::hours>::min()).ready);
    EXPECT_FALSE(c.recv_until(far_clock::from_time_t(-1)).ready);
  });
}

// A goroutine that ends the wait of another that has begun in its stead; all would hang, or return
// at once, if the number overflowed.
template <class Wait, class End>
void expect_waits(Wait wait, End end) {
  detail::atomic<int> ended;
  wait_group both;
  both.go([&] {
    wait();
    EXPECT_EQ(ended.exchange_acq_rel(2), 1);  // not before it was ended
  });
  gort::sleep(2ms);
  int not_yet = 0;
  EXPECT_TRUE(ended.cas_acq_rel(not_yet, 1));
  end();
  both.wait();
}

template <class Duration>
void expect_lasts(Duration d) {
  auto c = make_chan<element>();
  expect_waits([&] { EXPECT_TRUE(c.recv_for(d)); }, [&] { c.send(1); });
  expect_waits([&] { EXPECT_TRUE(c.send_for(1, d)); }, [&] { c.recv(); });
  mutex m;
  m.lock();
  expect_waits([&] { EXPECT_TRUE(m.try_lock_for(d)); }, [&] { m.unlock(); });
  cond k;
  expect_waits([&] { EXPECT_TRUE(k.wait_for(m, d)); },
               [&] {
                 m.lock();
                 k.signal();
                 m.unlock();
               });
  m.unlock();
  timer t(d);
  EXPECT_FALSE(t.c().try_recv().ready);
  EXPECT_TRUE(t.reset(d));
  EXPECT_TRUE(t.stop());
  ticker ticks(d);
  ticks.reset(d);
  EXPECT_FALSE(ticks.c().try_recv().ready);
  EXPECT_FALSE(after(d).try_recv().ready);
  const timer f = after_func(d, [] { FAIL(); });
  auto [ctx, cancel] = with_timeout(background(), d);
  EXPECT_FALSE(ctx.err());
  EXPECT_GT(*ctx.deadline(), clock::now());
}

TEST(durations, enormous) {
  run([] {
    expect_lasts(std::chrono::nanoseconds::max());
    expect_lasts(std::chrono::hours::max());
    expect_lasts(std::chrono::duration<double>(1e300));
    expect_lasts(std::chrono::duration<double>(std::numeric_limits<double>::infinity()));
    for (const auto when : {clock::time_point::max(), clock::time_point::max() - 1ns}) {
      auto c = make_chan<element>();
      expect_waits([&] { EXPECT_TRUE(c.recv_until(when)); }, [&] { c.send(1); });
      mutex m;
      m.lock();
      expect_waits([&] { EXPECT_TRUE(m.try_lock_until(when)); }, [&] { m.unlock(); });
      auto [ctx, cancel] = with_deadline(background(), when);
      EXPECT_FALSE(ctx.err());
    }
    auto c = make_chan<element>();
    constexpr auto hours_max = std::chrono::sys_time<std::chrono::hours>::max();
    expect_waits([&] { EXPECT_TRUE(c.recv_until(hours_max)); }, [&] { c.send(1); });
  });
}

TEST(durations, what_is_no_number_has_passed) {
  constexpr std::chrono::duration<double> nan(std::numeric_limits<double>::quiet_NaN());
  run([&] {
    gort::sleep(nan);
    EXPECT_FALSE(make_chan<element>().recv_for(nan).ready);
  });
}

// Units whose products with a count of nanoseconds overflow, though the time is an ordinary one.
template <class Clock, class Period>
void expect_point_is_kept() {
  using ticks = std::chrono::duration<std::int64_t, Period>;
  const auto now = std::chrono::time_point_cast<ticks>(Clock::now());
  const auto c = make_chan<int>();
  EXPECT_FALSE(c.recv_until(now + std::chrono::ceil<ticks>(5ms)).ready);
  EXPECT_FALSE(c.recv_until(now - std::chrono::ceil<ticks>(1h)).ready);
  const auto far = std::chrono::duration_cast<ticks>(std::chrono::hours(24 * 365 * 100));
  go([c, when = now + far] { EXPECT_TRUE(c.recv_until(when).ready); });
  gort::sleep(1ms);
  EXPECT_TRUE(c.send_for(1, 1h));
}

TEST(durations, of_odd_units) {
  run([] {
    expect_point_is_kept<std::chrono::system_clock, std::ratio<1, 60>>();
    expect_point_is_kept<std::chrono::system_clock, std::ratio<1, 90'000>>();
    expect_point_is_kept<clock, std::ratio<3, 7>>();
    expect_point_is_kept<clock, std::ratio<1, 90'000>>();
    const auto c = make_chan<int>();
    using frames = std::chrono::duration<std::int64_t, std::ratio<1, 60>>;
    constexpr frames years(200'000'000'000);  // 105
    go([=] { EXPECT_TRUE(c.recv_for(years).ready); });
    gort::sleep(1ms);
    EXPECT_TRUE(c.send_for(1, 1h));
  });
}

TEST(ticker, an_interval_that_is_no_number_is_refused) {
  run([] {
    constexpr std::chrono::duration<double> none(std::numeric_limits<double>::quiet_NaN());
    EXPECT_THROW(ticker{none}, runtime_error);
    const ticker t(1h);
    EXPECT_THROW(t.reset(none), runtime_error);
  });
}

}  // namespace
}  // namespace gort
