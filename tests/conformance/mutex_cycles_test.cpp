// Goroutines that wait for each other's mutexes: found while the program goes on, by the API and by
// GODEBUG=deadlockcheck=1.
#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <regex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/go.hpp>
#include <gort/mutex.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "support/parked.hpp"
#include "support/program.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;

// So many goroutines, each of which holds its mutex and waits for the next one's.
class circle {
 public:
  explicit circle(int size) : locks_(static_cast<std::size_t>(size)) {
    const test::arrivals since;
    auto all_hold = make_chan<unit>();
    wait_group hold;
    for (std::size_t i = 0; i < locks_.size(); ++i) {
      hold.add(1);
      all_.go([this, i, all_hold, &hold] {
        locks_[i].lock();
        hold.done();
        all_hold.recv();
        locks_[(i + 1) % locks_.size()].lock();  // for ever, were it not for break_up()
        locks_[(i + 1) % locks_.size()].unlock();
        if (i != 0) locks_[i].unlock();
      });
    }
    hold.wait();
    all_hold.close();
    since.wait_for(locks_.size(), test::wait_reason::sync_mutex_lock);
  }
  // Anybody may unlock.
  void break_up() {
    locks_[0].unlock();
    all_.wait();
  }
  const void* lock(std::size_t i) const { return &locks_[i]; }

 private:
  std::vector<mutex> locks_;
  wait_group all_;
};

TEST(mutex_cycles, are_found_with_who_holds_what) {
  test::with_procs(2, [] {
    EXPECT_FALSE(debug::set_deadlock_check(true));
    EXPECT_TRUE(debug::mutex_cycles().empty());
    circle two(2), one(1), five(5);
    const std::vector<debug::mutex_cycle> found = debug::mutex_cycles();
    ASSERT_EQ(found.size(), 3u) << debug::describe_mutex_cycles(found);
    std::multiset<std::size_t> sizes;
    for (const debug::mutex_cycle& each : found) {
      sizes.insert(each.size());
      const circle& of = each.size() == 2 ? two : each.size() == 1 ? one : five;
      std::set<const void*> locks;
      for (std::size_t i = 0; i < each.size(); ++i) {
        EXPECT_EQ(each[i].held_by, each[(i + 1) % each.size()].goroutine);
        EXPECT_GE(each[i].waited_ns, -10'000'000);
        locks.insert(each[i].mutex);
      }
      for (std::size_t i = 0; i < each.size(); ++i) EXPECT_TRUE(locks.contains(of.lock(i)));
    }
    EXPECT_EQ(sizes, (std::multiset<std::size_t>{1, 2, 5}));

    const std::string text = debug::describe_mutex_cycles(found);
    static const std::regex line(R"((?:^|\n)deadlock cycle=(\d+) goroutine=(\d+) )"
                                 R"(mutex=0x[0-9a-f]+ held_by=(\d+) waited_ms=\d+(?=\n))");
    EXPECT_EQ(std::distance(std::sregex_iterator(text.begin(), text.end(), line), {}), 8) << text;
    std::size_t shown = 0;
    for (std::size_t at = 0; (at = text.find(" [sync.Mutex.Lock]:\n", at)) != text.npos; ++at)
      ++shown;
    EXPECT_EQ(shown, 8u) << text;
    EXPECT_EQ(text.find("goroutine 1 ["), text.npos) << text;

    two.break_up();
    EXPECT_EQ(debug::mutex_cycles().size(), 2u);
    one.break_up();
    five.break_up();
    EXPECT_TRUE(debug::mutex_cycles().empty());
    EXPECT_EQ(debug::describe_mutex_cycles({}), "");
    EXPECT_TRUE(debug::set_deadlock_check(false));
  });
}

TEST(mutex_cycles, are_none_where_the_chain_has_an_end) {
  test::with_procs(2, [] {
    debug::set_deadlock_check(true);
    // 1 holds a; 2 holds b and waits for a; 3 waits for b: and 1 only sleeps.
    mutex a, b, timed, of_thread;
    wait_group all;
    const test::arrivals since;
    a.lock();
    auto b_is_held = make_chan<unit>();
    all.go([&] {
      b.lock();
      b_is_held.close();
      a.lock();
      a.unlock();
      b.unlock();
    });
    b_is_held.recv();
    all.go([&] {
      b.lock();
      b.unlock();
    });
    // A circle that a deadline would end.
    auto timed_is_held = make_chan<unit>();
    all.go([&] {
      timed.lock();
      timed_is_held.close();
      EXPECT_TRUE(timed.try_lock_for(1h));
      timed.unlock();
    });
    timed_is_held.recv();
    // What a plain thread holds is nobody's.
    std::thread([&] { of_thread.lock(); }).join();
    all.go([&] { of_thread.lock(); });
    since.wait_for(4, test::wait_reason::sync_mutex_lock);
    EXPECT_TRUE(debug::mutex_cycles().empty())
        << debug::describe_mutex_cycles(debug::mutex_cycles());
    timed.unlock();
    of_thread.unlock();
    a.unlock();
    all.wait();
    debug::set_deadlock_check(false);
  });
}

// A mutex is passed from hand to hand: who has handed it over does not hold it any more, though the
// next one has not run yet. Who takes `outer` and then `inner` never waits in a circle with who has
// given `inner` up before it takes `outer`, whenever one looks.
TEST(mutex_cycles, are_none_while_mutexes_change_hands) {
  test::with_procs(4, [] {
    debug::set_deadlock_check(true);
    mutex outer, inner;
    detail::atomic<bool> over{false};
    wait_group all;
    for (int i = 0; i < 3; ++i) {
      all.go([&] {
        while (!over.load_relaxed()) {
          const std::lock_guard first(outer), second(inner);
        }
      });
      all.go([&] {
        while (!over.load_relaxed()) {
          inner.lock();
          gort::sleep(1200us);  // so that others starve, and it is handed over
          inner.unlock();
          outer.lock();
          outer.unlock();
        }
      });
    }
    std::thread looker([&] {
      for (int looks = 0; looks < 4000; ++looks) {
        const auto found = debug::mutex_cycles();
        ASSERT_TRUE(found.empty()) << looks << "\n" << debug::describe_mutex_cycles(found);
      }
    });
    blocking([&] { looker.join(); });
    over.store_relaxed(true);
    all.wait();
    debug::set_deadlock_check(false);
  });
}

TEST(mutex_cycles, cost_nothing_and_know_nothing_while_off) {
  test::with_procs(2, [] {
    circle two(2);
    EXPECT_TRUE(debug::mutex_cycles().empty());
    debug::set_deadlock_check(true);
    EXPECT_TRUE(debug::mutex_cycles().empty()) << "who holds them was not noted";
    two.break_up();
    debug::set_deadlock_check(false);
  });
}

// What is written to stderr, passed on at the end.
class own_stderr {
 public:
  own_stderr() : before_(dup(STDERR_FILENO)) {
    if (pipe2(ends_, O_NONBLOCK) != 0 || dup2(ends_[1], STDERR_FILENO) < 0) std::abort();
  }
  std::string& text() {
    char piece[4096];
    for (ssize_t n; (n = read(ends_[0], piece, sizeof(piece))) > 0;)
      text_.append(piece, static_cast<std::size_t>(n));
    return text_;
  }
  ~own_stderr() {
    dup2(before_, STDERR_FILENO);
    std::fputs(text().c_str(), stderr);
  }

 private:
  int before_;
  int ends_[2];
  std::string text_;
};

TEST(program, DISABLED_waits_in_a_circle_and_goes_on) {
  run([] {
    own_stderr told;
    circle two(2);
    while (told.text().find("cycle=1") == std::string::npos) gort::sleep(10ms);
    gort::sleep(2200ms);  // two more looks
    two.break_up();
  });
}

TEST(program, DISABLED_all_wait_in_a_circle) {
  run([] {
    mutex a, b;
    a.lock();
    auto b_is_held = make_chan<unit>();
    go([&, b_is_held] {
      b.lock();
      b_is_held.close();
      a.lock();
    });
    b_is_held.recv();
    b.lock();
  });
}

TEST(mutex_cycles, are_printed_once_if_godebug_asks) {
  const test::ended it =
      test::run_program("waits_in_a_circle_and_goes_on", "GODEBUG=deadlockcheck=1");
  EXPECT_EQ(it.status, 0) << it.head();
  EXPECT_EQ(it.count("deadlock cycle=1 goroutine="), 2) << it.head();
  EXPECT_EQ(it.count(" [sync.Mutex.Lock]:\n"), 2) << it.head();
}

TEST(mutex_cycles, are_told_in_a_fatal_deadlock) {
  const test::ended it = test::run_program("all_wait_in_a_circle", "GODEBUG=deadlockcheck=1");
  EXPECT_EQ(it.status, 2);
  // Before, too, where the end comes so late that there has been a look.
  const std::size_t fatal = it.text.find("fatal error: all goroutines are asleep - deadlock!\n");
  ASSERT_NE(fatal, it.text.npos) << it.head();
  const test::ended end{it.status, it.text.substr(fatal)};
  EXPECT_TRUE(end.has("deadlock!\ndeadlock cycle=1 ")) << it.head();
  EXPECT_EQ(end.count("deadlock cycle=1 "), 2) << it.head();
}

}  // namespace
}  // namespace gort
