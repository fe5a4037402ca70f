// Many that compute for ever: each gets its first turn, what is new beside them too, and the number
// of threads stays bounded. And goroutines that keep others waiting in user code.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>

#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/detail/park.hpp>
#include <gort/go.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "base/sanitizer.hpp"
#include "os/proc.hpp"
#include "support/breathe.hpp"
#include "support/parked.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using test::breathe;
using test::with_procs;

// So many goroutines that compute until the end.
class computing {
 public:
  explicit computing(int count)
      : count_(count), ran_(std::make_unique<std::atomic<bool>[]>(size())) {
    for (std::size_t i = 0; i < size(); ++i) {
      all_.go([this, i] {
        ran_[i].store(true, std::memory_order_relaxed);
        while (!stop_.load(std::memory_order_relaxed)) breathe();
      });
    }
  }
  computing(const computing&) = delete;
  computing& operator=(const computing&) = delete;
  ~computing() {
    stop_.store(true, std::memory_order_relaxed);
    all_.wait();
  }

  int not_run() const {
    int n = 0;
    for (std::size_t i = 0; i < size(); ++i) n += ran_[i].load(std::memory_order_relaxed) ? 0 : 1;
    return n;
  }
  void wait_until_all_have_run() const {
    while (not_run() != 0) gort::sleep(2ms);
  }

 private:
  std::size_t size() const { return static_cast<std::size_t>(count_); }
  int count_;
  std::unique_ptr<std::atomic<bool>[]> ran_;
  std::atomic<bool> stop_{false};
  wait_group all_;
};

std::uint64_t preemptions() { return debug::read_scheduler_counts().preemptions; }

TEST(fairness_in_a_crowd, the_last_of_many_that_compute_gets_its_first_turn) {
  with_procs(2, [] {
    constexpr int many = 60;
    const std::uint64_t before = preemptions();
    const computing all(many);
    all.wait_until_all_have_run();
    // Of three turns two go to one that has not started; where no thread is there yet for it, and
    // ThreadSanitizer's come late, one that has had its turn gets another. 1200 were a fault.
    EXPECT_LE(preemptions() - before, (base::with_tsan ? 10 : 3) * many);
  });
}

TEST(fairness_in_a_crowd, a_receiver_runs_while_its_sender_computes) {
  with_procs(1, [] {
    const auto c = make_chan<int>();
    std::atomic<bool> ran{false};
    const test::arrivals since;
    go([&] {
      c.recv();
      ran.store(true, std::memory_order_relaxed);
    });
    since.wait_for(1, test::wait_reason::chan_receive);
    const std::uint64_t before = preemptions();
    c.send(1);
    while (!ran.load(std::memory_order_relaxed)) breathe();
    EXPECT_LE(preemptions() - before, 3);
  });
}

TEST(fairness_in_a_crowd, who_waits_for_a_mutex_runs_while_the_one_that_unlocked_it_computes) {
  with_procs(2, [] {
    const computing others(2);
    mutex m;
    std::atomic<bool> ran{false};
    m.lock();
    const test::arrivals since;
    go([&] {
      m.lock();
      ran.store(true, std::memory_order_relaxed);
      m.unlock();
    });
    since.wait_for(1, test::wait_reason::sync_mutex_lock);
    m.unlock();
    while (!ran.load(std::memory_order_relaxed)) breathe();
  });
}

TEST(fairness_in_a_crowd, hundreds_that_compute_hold_back_nothing_new) {
  with_procs(2, [] {
    constexpr int many = base::with_tsan ? 150 : 200;
    const computing all(many);
    all.wait_until_all_have_run();
    for (int i = 0; i < 5; ++i) {
      const auto ran = make_chan<unit>();
      const std::uint64_t before = preemptions();
      go([ran] { ran.send(unit{}); });
      ran.recv();
      EXPECT_LE(preemptions() - before, many) << "one round of them";
    }
  });
}

// Where the number of threads is at its bound, one more may start with each round of those in
// place [crowd-1].
TEST(fairness_in_a_crowd, beyond_the_bound_new_ones_wait_for_a_round) {
  // Those of other tests end when they have been idle for 5 s.
  gort::run([] {
    while (os::thread_count() > 60) gort::sleep(50ms);
  });
  const std::int64_t threads = debug::set_max_threads(160);
  with_procs(4, [] {
    constexpr int in_place_at_first = 80, more = 3;
    const std::uint64_t before = preemptions();
    const computing all(in_place_at_first + 4 + more);
    all.wait_until_all_have_run();
    for (int i = 0; i < 3; ++i) {
      const auto ran = make_chan<unit>();
      go([ran] { ran.send(unit{}); });
      ran.recv();
    }
    EXPECT_LE(os::thread_count(), 160);
    EXPECT_LE(preemptions() - before, 20 * in_place_at_first);
  });
  debug::set_max_threads(threads);
}

// One that takes as long as it is told to between being found by its waker and its park(), as a
// thread does that gets no CPU there. Once readied it is runnable and cannot run.
struct slow_to_park {
  std::atomic<detail::g*> who{nullptr};
  std::atomic<bool> may_end{false};

  void wait() {
    who.store(detail::current_g(), std::memory_order_release);  // pairs with begun()
    while (!may_end.load(std::memory_order_relaxed)) breathe();
    detail::park(detail::wait_reason::sync_cond_wait);
  }
  bool begun() const { return who.load(std::memory_order_acquire) != nullptr; }  // wait()
  void wake() { detail::ready(who.load(std::memory_order_relaxed)); }            // after begun()
};

TEST(fairness_in_a_crowd, one_that_is_readied_before_it_has_parked_holds_nobody_up) {
  with_procs(2, [] {
    slow_to_park one;
    wait_group all;
    all.go([&] { one.wait(); });
    while (!one.begun()) gort::sleep(1ms);
    one.wake();         // runnable; it has not parked
    gort::sleep(20ms);  // our P looks for work: nothing but that one
    // The world stops and starts though, and others run.
    for (int procs : {3, 2}) runtime::gomaxprocs(procs);
    const auto ran = make_chan<unit>();
    go([ran] { ran.send(unit{}); });
    ran.recv();
    one.may_end.store(true, std::memory_order_relaxed);
    all.wait();
  });
}

TEST(fairness_in_a_crowd, one_that_is_readied_before_it_has_parked_leaves_its_processor_to_others) {
  with_procs(1, [] {
    slow_to_park one;
    wait_group all;
    all.go([&] { one.wait(); });
    while (!one.begun()) runtime::gosched();
    one.wake();
    // It comes to its turn before it has parked, and waits for one that starts only now.
    all.go([&] { one.may_end.store(true, std::memory_order_relaxed); });
    all.wait();
  });
}

}  // namespace
}  // namespace gort
