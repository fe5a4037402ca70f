// Contention by labels, and its two sides: who unlocks and who has waited.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include <gort/chan.hpp>
#include <gort/mutex.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/rw_mutex.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "record/contention.hpp"
#include "stack/cfi.hpp"
#include "support/go_tool.hpp"
#include "support/parked.hpp"
#include "support/pprof_world.hpp"
#include "support/profile_reader.hpp"
#include "support/run.hpp"
#include "support/skip.hpp"

// Not in the library's namespace, whose functions are not taken for those of the program.
namespace shop {
namespace {

using namespace gort;
using namespace std::chrono_literals;
using test::written;

std::atomic<int> sink;

// Until `others` have waited for it for 60 ms.
template <class Lock>
[[gnu::noinline]] void hold(Lock& m, wait_group& is_held, std::size_t others) {
  m.lock();
  const test::arrivals since;
  is_held.done();
  since.wait_for(others, std::is_same_v<Lock, mutex> ? test::wait_reason::sync_mutex_lock
                                                     : test::wait_reason::sync_rw_mutex_lock);
  gort::sleep(60ms);
  m.unlock();
  sink.store(11, std::memory_order_relaxed);
}
template <class Lock>
[[gnu::noinline]] void wait_behind(Lock& m) {
  m.lock();
  m.unlock();
  sink.store(12, std::memory_order_relaxed);
}

template <class Lock>
void three_behind_one(const pprof::label_set& labels = {}) {
  run([&] {
    pprof::set_goroutine_labels(labels);
    Lock m;
    wait_group held, all;
    held.add(1);
    all.go([&] { hold(m, held, 3); });
    held.wait();
    for (int i = 0; i < 3; ++i) all.go([&] { wait_behind(m); });
    all.wait();
  });
}

test::read_profile decoded(const char* name) {
  return test::profile_reader::read(test::gunzip(written(name, 0)));
}

// Of the samples through `function` with this label, the delay in ms.
double delay_ms(const test::read_profile& p, const std::string& function, const std::string& key,
                const std::string& value) {
  double sum = 0;
  for (const auto& each : p.samples) {
    const auto found = each.labels.find(key);
    if (found == each.labels.end() || found->second.find(value) == std::string::npos) continue;
    if (each.functions().find(function) == std::string::npos) continue;
    sum += static_cast<double>(each.values[1]) / 1e6;
  }
  return sum;
}

[[gnu::noinline]] void waits_for(chan<int>& c) {
  (void)c.recv();
  sink.store(14, std::memory_order_relaxed);
}

TEST(block_profile, says_on_whose_behalf_with_one_sample_for_all_sets_with_the_same_words) {
  runtime::set_block_profile_rate(1);
  run([] {
    chan<int> c = make_chan<int>();
    wait_group all;
    const test::arrivals since;
    for (int i = 0; i < 6; ++i) {
      all.go([&c, i] {
        // Each goroutine has a set of its own, as requests have.
        pprof::with_labels(pprof::labels("endpoint", i % 3 == 0 ? "/buy" : "/pay"),
                           [&] { waits_for(c); });
      });
    }
    since.wait_for(6, test::wait_reason::chan_receive);
    c.close();
    all.wait();
  });
  runtime::set_block_profile_rate(0);
  const test::read_profile p = decoded("block");
  std::map<std::string, std::int64_t> events;
  int samples = 0;
  for (const auto& each : p.samples) {
    if (each.functions().find("waits_for") == std::string::npos) continue;
    ++samples;
    ASSERT_TRUE(each.labels.contains("endpoint"));
    events[each.labels.at("endpoint")] += each.values[0];
  }
  EXPECT_EQ(samples, 2);
  // Also in the table, which would have no room for a set of each request.
  int buckets = 0;
  record::block_events.table().for_each([&](const record::event_table::bucket& each) {
    buckets += std::ranges::any_of(each.frames(), [](const void* pc) {
      return stack::function_begin(reinterpret_cast<std::uintptr_t>(pc) - 1) ==
             reinterpret_cast<std::uintptr_t>(&waits_for);
    });
  });
  EXPECT_EQ(buckets, 2);
  EXPECT_EQ(events["/buy"], 2);
  EXPECT_EQ(events["/pay"], 4);
  EXPECT_NE(written("block", 1).find("# labels: {\"endpoint\":\"/pay\"}"), std::string::npos);
}

[[gnu::noinline]] void wait_behind_for_lockwait(mutex& m) {
  m.lock();
  m.unlock();
  sink.store(15, std::memory_order_relaxed);
}
[[gnu::noinline]] void write_behind(rw_mutex& m) {
  m.lock();
  m.unlock();
  sink.store(16, std::memory_order_relaxed);
}
[[gnu::noinline]] void read_behind(rw_mutex& m) {
  m.lock_shared();
  m.unlock_shared();
  sink.store(17, std::memory_order_relaxed);
}

TEST(lockwait_profile, who_waited_and_for_whom_with_the_labels_of_both_sides) {
  runtime::set_mutex_profile_fraction(1);
  run([] {
    mutex m;
    rw_mutex rw;
    wait_group held, all;
    const auto a = pprof::labels("tenant", "a"), b = pprof::labels("tenant", "b");
    held.add(2);
    const test::arrivals since;
    all.go([&] { pprof::with_labels(a, [&] { hold(m, held, 2); }); });
    all.go([&] { pprof::with_labels(a, [&] { hold(rw, held, 1); }); });
    held.wait();
    all.go([&] { pprof::with_labels(b, [&] { read_behind(rw); }); });
    since.wait_for(1, test::wait_reason::sync_rw_mutex_rlock);
    for (int i = 0; i < 2; ++i)
      all.go([&] { pprof::with_labels(b, [&] { wait_behind_for_lockwait(m); }); });
    all.go([&] { pprof::with_labels(b, [&] { write_behind(rw); }); });
    all.wait();
  });
  runtime::set_mutex_profile_fraction(0);
  const test::read_profile waits = decoded("lockwait"), unlockings = decoded("mutex");
  EXPECT_EQ(waits.types, unlockings.types);
  // Each of them for nearly all the time that it was held.
  EXPECT_GE(delay_ms(waits, "wait_behind_for_lockwait", "tenant", "b"), 2 * 20);
  EXPECT_GE(delay_ms(waits, "write_behind", "tenant", "b"), 20);
  EXPECT_GE(delay_ms(waits, "read_behind", "tenant", "b"), 20);
  EXPECT_EQ(delay_ms(waits, "wait_behind_for_lockwait", "tenant", "a"), 0);
  EXPECT_GE(delay_ms(unlockings, "hold", "tenant", "a"), 4 * 20);
  EXPECT_GE(delay_ms(waits, "wait_behind_for_lockwait", "unlocked_by", "hold"), 20);
  EXPECT_GE(delay_ms(waits, "wait_behind_for_lockwait", "unlocked_at",
                     "pprof_contention_sides_test.cpp:"),
            2 * 20);
  // The writer and the reader go on one after the other, the first of them because of hold().
  EXPECT_GE(delay_ms(waits, "_behind", "unlocked_by", "hold<gort::rw_mutex"), 20);
}

// Go's tool selects and groups by what we have put there.
TEST(lockwait_profile, is_read_by_gos_tool) {
  runtime::set_mutex_profile_fraction(1);
  three_behind_one<mutex>(pprof::labels("tenant", "c"));
  runtime::set_mutex_profile_fraction(0);
  if (test::find_go().empty()) GORT_SKIP("no go");
  const test::temporary_file file("lockwait.pb.gz", written("lockwait", 0));
  const auto tags = test::go_tool_pprof("-tags " + file.path());
  EXPECT_EQ(tags.status, 0) << tags.text;
  EXPECT_TRUE(tags.has("tenant")) << tags.text;
  EXPECT_TRUE(tags.has("unlocked_by")) << tags.text;
  const auto top = test::go_tool_pprof("-top -cum -tagfocus=tenant=c " + file.path());
  EXPECT_EQ(top.status, 0) << top.text;
  EXPECT_TRUE(top.has("Type: delay")) << top.text;
  EXPECT_TRUE(top.has("wait_behind")) << top.text;
}

// Both sides see the same delays.
TEST(lockwait_profile, the_sums_of_both_sides_are_the_same) {
  runtime::set_mutex_profile_fraction(1);
  const auto delay = [](const char* name) { return decoded(name).total(1); };
  const std::int64_t mutex_before = delay("mutex"), waits_before = delay("lockwait");
  three_behind_one<mutex>();
  three_behind_one<rw_mutex>();
  runtime::set_mutex_profile_fraction(0);
  const double by_unlockers = static_cast<double>(delay("mutex") - mutex_before);
  const double by_waiters = static_cast<double>(delay("lockwait") - waits_before);
  // The waiter's ends a little later: when it runs again.
  EXPECT_GE(by_waiters, by_unlockers * 0.99);
  EXPECT_LE(by_waiters, by_unlockers + 10e9);
}

}  // namespace
}  // namespace shop
