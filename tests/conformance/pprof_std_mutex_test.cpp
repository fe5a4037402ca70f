// std::mutex in the profiles of contention, in a program that links gort::mutex_profile.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gort/go.hpp>
#include <gort/pprof.hpp>
#include <gort/runtime.hpp>
#include <gort/wait_group.hpp>

#include "support/parked.hpp"
#include "support/pprof_world.hpp"
#include "support/profile_reader.hpp"
#include "support/run.hpp"

namespace {

using namespace std::chrono_literals;

std::atomic<int> sink;

using handles = std::array<gort::detail::atomic<gort::os::thread_handle>, 2>;

[[gnu::noinline]] void holds(std::mutex& m, std::atomic<bool>& held, const handles& others) {
  m.lock();
  held.store(true, std::memory_order_release);
  for (const auto& each : others) gort::test::until_asleep(each);
  std::this_thread::sleep_for(60ms);
  m.unlock();
  sink.store(1, std::memory_order_relaxed);
}

}  // namespace

namespace gort {
namespace {

test::read_profile decoded(const char* name) {
  return test::profile_reader::read(test::gunzip(test::written(name, 0)));
}

struct totals {
  std::int64_t events = 0;
  double delay_ms = 0;
  std::set<std::string> unlocked_by;
  std::string tenant;
};
totals through(const char* name, const std::string& function) {
  totals out;
  for (const auto& each : decoded(name).samples) {
    if (each.functions().find(function) == std::string::npos) continue;
    out.events += each.values[0];
    out.delay_ms += static_cast<double>(each.values[1]) / 1e6;
    if (const auto by = each.labels.find("unlocked_by"); by != each.labels.end())
      out.unlocked_by.insert(by->second);
    if (const auto of = each.labels.find("tenant"); of != each.labels.end())
      out.tenant = of->second;
  }
  return out;
}

[[gnu::noinline]] void waits_behind(std::mutex& m, const std::atomic<bool>& held,
                                    detail::atomic<os::thread_handle>& me) {
  while (!held.load(std::memory_order_acquire)) std::this_thread::yield();
  me.store_release(os::this_thread());  // pairs with the acquire in until_asleep()
  m.lock();
  m.unlock();
  sink.store(2, std::memory_order_relaxed);
}

TEST(std_mutex_profile, both_sides_of_goroutines_and_threads) {
  runtime::set_mutex_profile_fraction(1);
  runtime::set_block_profile_rate(1);
  test::with_procs(2, [] {
    std::mutex m;
    std::atomic<bool> held{false};
    handles others;
    wait_group all;
    all.go(
        [&] { pprof::with_labels(pprof::labels("tenant", "a"), [&] { holds(m, held, others); }); });
    all.go([&] {
      pprof::with_labels(pprof::labels("tenant", "b"), [&] { waits_behind(m, held, others[0]); });
    });
    std::thread plain([&] { waits_behind(m, held, others[1]); });
    all.wait();
    plain.join();
  });
  runtime::set_mutex_profile_fraction(0);
  runtime::set_block_profile_rate(0);
  const totals holder = through("mutex", "holds");
  EXPECT_EQ(holder.events, 1) << decoded("mutex").all_stacks();
  EXPECT_GE(holder.delay_ms, 2 * 50);
  EXPECT_EQ(holder.tenant, "a");
  for (const char* name : {"block", "lockwait"}) {
    const totals waiters = through(name, "waits_behind");
    EXPECT_GE(waiters.events, 2) << name;
    EXPECT_GE(waiters.delay_ms, 2 * 50) << name;
    EXPECT_EQ(waiters.tenant, "b") << name;
    // The library's inline functions are not meant. (Who comes second has been kept by the other
    // waiter, too.)
    const bool tells = name == std::string("lockwait");
    EXPECT_EQ(waiters.unlocked_by.count("(anonymous namespace)::holds"), tells ? 1u : 0u) << name;
    EXPECT_EQ(waiters.unlocked_by.empty(), !tells) << name;
  }
}

// Handlers of fork() lock and unlock mutexes there, which others may be waiting for.
TEST(std_mutex_profile, a_forked_childs_mutexes_are_the_c_librarys) {
  runtime::set_mutex_profile_fraction(1);
  test::with_procs(2, [] {
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_t checked = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
    pthread_mutex_lock(&m);
    detail::atomic<os::thread_handle> waiting;
    std::thread other([&] {
      waiting.store_release(os::this_thread());  // pairs with the acquire in until_asleep()
      pthread_mutex_lock(&m);
      pthread_mutex_unlock(&m);
    });
    test::until_asleep(waiting);
    int status = -1;
    const pid_t child = fork();
    if (child == 0) {
      constexpr unsigned hangs_after_s = 60;
      alarm(hangs_after_s);
      const bool as_always = pthread_mutex_unlock(&m) == 0 && pthread_mutex_lock(&checked) == 0 &&
                             pthread_mutex_lock(&checked) == EDEADLK;
      _exit(as_always ? 0 : 1);
    }
    pthread_mutex_unlock(&m);
    other.join();
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  });
  runtime::set_mutex_profile_fraction(0);
}

// It is still the C library's mutex, of all kinds.
TEST(std_mutex_profile, the_c_librarys_contract_holds) {
  for (const int rate : {0, 1}) {
    runtime::set_mutex_profile_fraction(rate);
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutex_t m;
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&m, &kind);
    EXPECT_EQ(pthread_mutex_lock(&m), 0);
    EXPECT_EQ(pthread_mutex_lock(&m), EDEADLK);
    EXPECT_EQ(pthread_mutex_unlock(&m), 0);
    EXPECT_EQ(pthread_mutex_unlock(&m), EPERM);
    pthread_mutex_destroy(&m);
    std::recursive_mutex twice;
    twice.lock();
    twice.lock();
    std::thread other([&] { EXPECT_FALSE(twice.try_lock()); });
    other.join();
    twice.unlock();
    twice.unlock();
    pthread_mutexattr_destroy(&kind);
  }
  runtime::set_mutex_profile_fraction(0);
}

// Many mutexes, contended, on threads and goroutines, while the profile goes on and off.
TEST(std_mutex_profile, excludes_as_ever) {
  constexpr int mutexes = 8, rounds = 3000;
  std::mutex all_mutexes[mutexes];
  std::int64_t counts[mutexes] = {};
  const auto work = [&](int seed) {
    for (int i = 0; i < rounds; ++i) {
      const int which = (i * 7 + seed) % mutexes;
      const std::lock_guard guard(all_mutexes[which]);
      ++counts[which];
      if (i % 500 == seed) runtime::set_mutex_profile_fraction(i / 500 % 3);
    }
  };
  std::thread plain[2] = {std::thread(work, 1), std::thread(work, 2)};
  test::with_procs(2, [&] {
    wait_group all;
    for (int g = 3; g < 6; ++g) all.go([&work, g] { work(g); });
    all.wait();
  });
  for (std::thread& each : plain) each.join();
  runtime::set_mutex_profile_fraction(0);
  std::int64_t sum = 0;
  for (const std::int64_t each : counts) sum += each;
  EXPECT_EQ(sum, 5 * rounds);
  for (const char* name : {"mutex", "lockwait"}) {
    for (const auto& each : decoded(name).samples) EXPECT_GE(each.values[1], 0);
  }
}

}  // namespace
}  // namespace gort
