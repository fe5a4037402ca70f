// The block and the mutex profile of known contention: who, how often, how long.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <gort/chan.hpp>
#include <gort/cond.hpp>
#include <gort/mutex.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/rw_mutex.hpp>
#include <gort/select.hpp>
#include <gort/semaphore.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "record/contention.hpp"
#include "stack/cfi.hpp"
#include "support/go_tool.hpp"
#include "support/parked.hpp"
#include "support/profile_reader.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

struct totals {
  double events = 0;
  double delay_ms = 0;
};

// Of the stacks that `function` is part of.
template <class Function>
totals of(const record::contention& profile, Function* function) {
  totals out;
  profile.table().for_each([&](const record::event_table::bucket& each) {
    for (const void* pc : each.frames()) {
      if (stack::function_begin(reinterpret_cast<std::uintptr_t>(pc) - 1) !=
          reinterpret_cast<std::uintptr_t>(function))
        continue;
      out.events += static_cast<double>(each.sum(record::contention::events)) /
                    record::contention::parts_of_one;
      out.delay_ms += static_cast<double>(each.sum(record::contention::delay_ns)) / 1e6;
      return;
    }
  });
  return out;
}

std::atomic<int> sink;

// --- block: each of these waits 20 ms or more, at least as often as it says

[[gnu::noinline]] void receive(chan<int>& c) {
  (void)c.recv();
  sink.store(1, std::memory_order_relaxed);
}
[[gnu::noinline]] void send(chan<int>& c) {
  c.send(1);
  sink.store(2, std::memory_order_relaxed);
}
[[gnu::noinline]] void select_one(chan<int>& a, chan<int>& b) {
  select(a.on_recv([](auto) {}), b.on_recv([](auto) {}));
  sink.store(3, std::memory_order_relaxed);
}
[[gnu::noinline]] void lock(mutex& m) {
  m.lock();
  m.unlock();
  sink.store(4, std::memory_order_relaxed);
}
[[gnu::noinline]] void read_lock(rw_mutex& m) {
  m.lock_shared();
  m.unlock_shared();
  sink.store(5, std::memory_order_relaxed);
}
[[gnu::noinline]] void wait_for_all(wait_group& g) {
  g.wait();
  sink.store(6, std::memory_order_relaxed);
}
[[gnu::noinline]] void acquire(semaphore& s) {
  s.acquire(1);
  sink.store(7, std::memory_order_relaxed);
}
[[gnu::noinline]] void wait_for_signal(mutex& m, cond& c, bool& flag) {
  std::unique_lock guard(m);
  while (!flag) c.wait(guard);
  sink.store(8, std::memory_order_relaxed);
}
[[gnu::noinline]] void only_sleep() {
  gort::sleep(20ms);
  sink.store(9, std::memory_order_relaxed);
}

void expect_one(const totals& t) {
  EXPECT_GE(t.events, 1);
  EXPECT_LE(t.events, 4);  // a mutex may have to wait again
  EXPECT_GE(t.delay_ms, 15);
  EXPECT_LE(t.delay_ms, 10'000);
}

TEST(block_profile, each_way_to_wait_is_there_with_its_time) {
  runtime::set_block_profile_rate(1);
  run([] {
    chan<int> numbers = make_chan<int>(), never = make_chan<int>(), third = make_chan<int>();
    mutex m, other;
    rw_mutex rw;
    wait_group waiting, later;
    semaphore s(1);
    cond c;
    bool flag = false;
    m.lock();
    rw.lock();
    s.acquire(1);
    later.add(1);
    const test::arrivals since;
    const auto begin = [&](auto f) { waiting.go(f); };
    begin([&] { receive(numbers); });
    begin([&] { send(third); });
    begin([&] { select_one(never, numbers); });
    begin([&] { lock(m); });
    begin([&] { read_lock(rw); });
    begin([&] { wait_for_all(later); });
    begin([&] { acquire(s); });
    begin([&] { wait_for_signal(other, c, flag); });
    begin([&] { only_sleep(); });
    for (const test::wait_reason why :
         {test::wait_reason::chan_receive, test::wait_reason::chan_send, test::wait_reason::select,
          test::wait_reason::sync_mutex_lock, test::wait_reason::sync_rw_mutex_rlock,
          test::wait_reason::sync_wait_group_wait, test::wait_reason::semacquire,
          test::wait_reason::sync_cond_wait})
      since.wait_for(1, why);
    gort::sleep(60ms);
    numbers.send(1);
    numbers.send(2);
    (void)third.recv();
    m.unlock();
    rw.unlock();
    later.done();
    s.release(1);
    {
      const std::lock_guard guard(other);
      flag = true;
    }
    c.broadcast();
    waiting.wait();
  });
  runtime::set_block_profile_rate(0);
  const record::contention& profile = record::block_events;
  expect_one(of(profile, &receive));
  expect_one(of(profile, &send));
  expect_one(of(profile, &select_one));
  expect_one(of(profile, &lock));
  expect_one(of(profile, &read_lock));
  expect_one(of(profile, &wait_for_all));
  expect_one(of(profile, &acquire));
  expect_one(of(profile, &wait_for_signal));
  EXPECT_EQ(of(profile, &only_sleep).events, 0);
  EXPECT_EQ(profile.table().lost(), 0u);
}

[[gnu::noinline]] void receive_on_a_thread(chan<int>& c) {
  (void)c.recv();
  sink.store(10, std::memory_order_relaxed);
}

TEST(block_profile, plain_threads_too_and_nothing_while_it_is_off) {
  for (const bool on : {false, true}) {
    runtime::set_block_profile_rate(on ? 1 : 0);
    chan<int> c = make_chan<int>();
    detail::atomic<os::thread_handle> thread;
    std::thread waiting([&] {
      thread.store_release(os::this_thread());  // pairs with the acquire in until_asleep()
      receive_on_a_thread(c);
    });
    test::until_asleep(thread);
    std::this_thread::sleep_for(60ms);
    c.send(1);
    waiting.join();
    const totals seen = of(record::block_events, &receive_on_a_thread);
    if (on)
      expect_one(seen);
    else
      EXPECT_EQ(seen.events, 0);
  }
  runtime::set_block_profile_rate(0);
}

// --- mutex: the unlocker is to blame

template <class Lock>
constexpr test::wait_reason waits_for =
    std::is_same_v<Lock, mutex> ? test::wait_reason::sync_mutex_lock
                                : test::wait_reason::sync_rw_mutex_lock;

// Until `others` have waited for it for 60 ms. Returns when it was unlocked.
template <class Lock>
[[gnu::noinline]] auto hold(Lock& m, wait_group& is_held, std::size_t others) {
  m.lock();
  const test::arrivals since;
  is_held.done();
  since.wait_for(others, waits_for<Lock>);
  gort::sleep(60ms);
  const auto now = std::chrono::steady_clock::now();
  m.unlock();
  sink.store(11, std::memory_order_relaxed);
  return now;
}
template <class Lock>
[[gnu::noinline]] void wait_behind(Lock& m) {
  m.lock();
  m.unlock();
  sink.store(12, std::memory_order_relaxed);
}

// Returns how long they have needed when it was unlocked, in ms.
template <class Lock>
double three_behind_one() {
  std::chrono::steady_clock::time_point unlocked;
  run([&] {
    Lock m;
    wait_group held, all;
    held.add(1);
    all.go([&] { unlocked = hold(m, held, 3); });
    held.wait();
    for (int i = 0; i < 3; ++i) all.go([&] { wait_behind(m); });
    all.wait();
  });
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - unlocked)
      .count();
}

TEST(mutex_profile, the_unlocker_is_charged_with_what_all_have_waited) {
  EXPECT_EQ(runtime::set_mutex_profile_fraction(1), 0);
  EXPECT_EQ(runtime::set_mutex_profile_fraction(-1), 1);
  const double needed_ms = three_behind_one<mutex>();
  three_behind_one<rw_mutex>();
  EXPECT_EQ(runtime::set_mutex_profile_fraction(0), 1);
  for (const totals& t :
       {of(record::mutex_events, &hold<mutex>), of(record::mutex_events, &hold<rw_mutex>)}) {
    EXPECT_EQ(t.events, 1);
    EXPECT_GE(t.delay_ms, 3 * 50);
    EXPECT_LE(t.delay_ms, 10'000);
  }
  // Who waited has unlocked too, for the others, a moment later.
  EXPECT_LT(of(record::mutex_events, &wait_behind<mutex>).delay_ms, 3 * needed_ms);
}

[[gnu::noinline]] void hold_shared(rw_mutex& m, wait_group& is_held) {
  m.lock_shared();
  const test::arrivals since;
  is_held.done();
  since.wait_for(1, test::wait_reason::sync_rw_mutex_lock);
  gort::sleep(60ms);
  m.unlock_shared();
  sink.store(13, std::memory_order_relaxed);
}

TEST(mutex_profile, the_last_reader_is_charged_for_the_writer) {
  runtime::set_mutex_profile_fraction(1);
  run([] {
    rw_mutex m;
    wait_group held, all;
    held.add(1);
    all.go([&] { hold_shared(m, held); });
    held.wait();
    all.go([&] { wait_behind(m); });
    all.wait();
  });
  runtime::set_mutex_profile_fraction(0);
  const totals t = of(record::mutex_events, &hold_shared);
  EXPECT_EQ(t.events, 1);
  EXPECT_GE(t.delay_ms, 20);
}

// Whoever gives up waiting leaves no debt behind; switching on and off in the middle does not,
// either.
TEST(mutex_profile, waiters_that_give_up_and_changes_of_the_rate_do_no_harm) {
  run([] {
    mutex m;
    wait_group all;
    for (int i = 0; i < 4; ++i) {
      all.go([&m, i] {
        for (int round = 0; round < 200; ++round) {
          if (i == 0) runtime::set_mutex_profile_fraction(round % 3);
          if (m.try_lock_for(std::chrono::microseconds(round % 50))) {
            runtime::gosched();
            m.unlock();
          }
          m.lock();
          m.unlock();
        }
      });
    }
    all.wait();
    m.lock();
    m.unlock();
  });
  runtime::set_mutex_profile_fraction(0);
  record::mutex_events.table().for_each([](const record::event_table::bucket& each) {
    EXPECT_GE(each.sum(record::contention::delay_ns), 0);
  });
}

std::string written(const char* name, int debug) {
  std::string text;
  pprof::lookup(name)->write_to([&](std::string_view piece) { text += piece; }, debug);
  return text;
}

TEST(mutex_profile, is_written_as_go_writes_it) {
  runtime::set_mutex_profile_fraction(1);
  three_behind_one<mutex>();
  const std::string text = written("mutex", 1);
  runtime::set_mutex_profile_fraction(0);
  EXPECT_EQ(text.rfind("--- mutex:\ncycles/second=1000000000\nsampling period=1\n", 0), 0u)
      << text.substr(0, 200);
  EXPECT_NE(text.find("hold<gort::mutex>"), std::string::npos) << text;
  EXPECT_EQ(written("block", 1).rfind("--- contention:\ncycles/second=1000000000\n", 0), 0u);
  const std::string packed = written("mutex", 0);
  const test::read_profile p = test::profile_reader::read(test::gunzip(packed));
  EXPECT_EQ(p.types, (std::vector<std::string>{"contentions/count", "delay/nanoseconds"}));
  EXPECT_EQ(p.period_type, "contentions/count");
  EXPECT_EQ(p.period, 1);
  if (test::find_go().empty()) GORT_SKIP("no go");
  const test::temporary_file file("mutex.pb.gz", packed);
  const auto top = test::go_tool_pprof("-top -cum " + file.path());
  EXPECT_EQ(top.status, 0) << top.text;
  EXPECT_TRUE(top.has("Type: delay")) << top.text;
  EXPECT_TRUE(top.has("hold")) << top.text;
}

}  // namespace
}  // namespace gort
