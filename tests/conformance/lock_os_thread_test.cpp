// Goroutines that are locked to a thread.
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "base/sanitizer.hpp"
#include "sched/gmp/g.hpp"
#include "support/element.hpp"
#include "support/run.hpp"

namespace gort {
namespace {

using test::element;

using namespace std::chrono_literals;

// So that nobody waits 5 s for threads to go.
const bool knob_is_set = setenv("GODEBUG", "mreap=50", 0) == 0;

int thread_id() { return static_cast<int>(syscall(SYS_gettid)); }
bool thread_exists(int id) { return syscall(SYS_tgkill, getpid(), id, 0) == 0; }

// Until it comes true, or a minute is over.
template <class F>
bool becomes_true(F f) {
  for (int i = 0; i < 6000; ++i) {
    if (f()) return true;
    gort::sleep(10ms);
  }
  return false;
}

TEST(lock_os_thread, stays_on_its_thread_and_alone_there) {
  for (int procs : {1, 2, 4}) {
    test::with_procs(procs, [] {
      std::atomic<int> locked_thread{0};
      std::atomic<bool> stop{false};
      std::atomic<int> intruders{0};
      wait_group all;
      auto ping = make_chan<element>(), pong = make_chan<element>();
      all.go([&] {
        runtime::lock_os_thread();
        const int mine = thread_id();
        locked_thread.store(mine, std::memory_order_relaxed);
        for (int i = 0; i < 300; ++i) {
          ping.send(i);
          ASSERT_EQ(thread_id(), mine);
          ASSERT_EQ(pong.recv(), i);
          ASSERT_EQ(thread_id(), mine);
          runtime::gosched();
          ASSERT_EQ(thread_id(), mine);
          if (i % 50 == 0) gort::sleep(1ms);
          ASSERT_EQ(thread_id(), mine);
          if (i % 60 == 0) blocking([] { std::this_thread::sleep_for(1ms); });
          ASSERT_EQ(thread_id(), mine);
        }
        ping.close();
        stop.store(true, std::memory_order_relaxed);
        // Unlocked only here: until then nobody else may have been seen on this thread.
        locked_thread.store(0, std::memory_order_relaxed);
        runtime::unlock_os_thread();
      });
      all.go([&] {
        while (auto v = ping.recv()) pong.send(*v);
      });
      for (int i = 0; i < 8; ++i) {
        all.go([&] {
          while (!stop.load(std::memory_order_relaxed)) {
            // If they are equal it is still locked afterwards, for this goroutine is on it.
            if (locked_thread.load(std::memory_order_relaxed) == thread_id())
              intruders.fetch_add(1, std::memory_order_relaxed);
            runtime::gosched();
          }
        });
      }
      all.wait();
      EXPECT_EQ(intruders.load(std::memory_order_relaxed), 0);
    });
  }
}

TEST(lock_os_thread, counts) {
  ASSERT_TRUE(knob_is_set);
  test::with_procs(1, [] {
    runtime::lock_os_thread();
    runtime::lock_os_thread();
    const int mine = thread_id();
    runtime::unlock_os_thread();
    wait_group others;
    for (int i = 0; i < 100; ++i) {  // locked still
      others.go([mine] {
        EXPECT_NE(thread_id(), mine);
        runtime::gosched();
      });
      runtime::gosched();
      ASSERT_EQ(thread_id(), mine);
    }
    others.wait();
    runtime::unlock_os_thread();
    EXPECT_THROW(runtime::unlock_os_thread(), runtime_error);
    runtime::lock_os_thread();
    runtime::unlock_os_thread();
  });
}

TEST(lock_os_thread, unlock_without_lock_and_overflow_throw) {
  auto misuse = [] {
    try {
      runtime::unlock_os_thread();
      ADD_FAILURE();
    } catch (const runtime_error& e) {
      EXPECT_STREQ(e.what(), "gort: unlock_os_thread() without a lock_os_thread()");
    }
    // Nobody calls it so often; set to the brim.
    detail::current_g()->os_thread_locks.store_relaxed(std::numeric_limits<std::uint32_t>::max());
    try {
      runtime::lock_os_thread();
      ADD_FAILURE();
    } catch (const runtime_error& e) {
      EXPECT_STREQ(e.what(), "LockOSThread nesting overflow");
    }
    detail::current_g()->os_thread_locks.store_relaxed(0);
  };
  std::thread(misuse).join();
  run(misuse);
}

// The thread has left the scheduler by then, and is as good as any other.
struct says_when_destroyed {
  chan<element> to;
  ~says_when_destroyed() { to.send(thread_id()); }
};
thread_local std::unique_ptr<says_when_destroyed> of_thread;

TEST(lock_os_thread, a_goroutine_that_ends_locked_takes_its_thread_along) {
  for (int procs : {1, 2}) {
    test::with_procs(procs, [] {
      constexpr int count = 20;
      auto destroyed = make_chan<element>();
      std::vector<int> ids(count);
      wait_group all;
      for (int i = 0; i < count; ++i) {
        all.go([&, i] {
          runtime::lock_os_thread();
          of_thread.reset(new says_when_destroyed{destroyed});
          ids[static_cast<std::size_t>(i)] = thread_id();
          runtime::gosched();
          if (i % 3 == 0) runtime::goexit();
        });
      }
      std::vector<int> gone;
      for (int i = 0; i < count; ++i) gone.push_back(*destroyed.recv());
      all.wait();
      for (int id : gone) EXPECT_NE(std::find(ids.begin(), ids.end(), id), ids.end());
      EXPECT_EQ(std::set<int>(ids.begin(), ids.end()).size(), ids.size());
      EXPECT_TRUE(becomes_true([&] {
        for (int id : ids)
          if (thread_exists(id)) return false;
        return true;
      }));
      // Nothing is left of them, and what they made room for goes on.
      constexpr std::uint64_t bound = 9;  // three busy or watching, and GOMAXPROCS + 2 asleep
      EXPECT_TRUE(becomes_true([] { return debug::read_scheduler_counts().threads <= bound; }));
      auto c = make_chan<element>();
      go([c] { c.send(1); });
      EXPECT_EQ(c.recv(), 1);
    });
  }
}

int mappings() {
  std::ifstream maps("/proc/self/maps");
  int lines = 0;
  for (std::string line; std::getline(maps, line);) ++lines;
  return lines;
}

// Stack, signal stack and record of an ended thread are given back or used again.
TEST(lock_os_thread, threads_that_have_ended_leave_nothing_behind) {
  test::with_procs(2, [] {
    auto end_some = [](int count) {
      for (int i = 0; i < count; ++i) {
        wait_group one;
        one.go([] { runtime::lock_os_thread(); });
        one.wait();
      }
      EXPECT_TRUE(becomes_true([] { return debug::read_scheduler_counts().threads <= 9; }));
    };
    end_some(50);
    const int before = mappings();
    end_some(400);
    // The C library keeps up to 40 MiB of stacks, two mappings each, as many as once existed at a
    // time; a leak of ours would be two for each of the 400.
    EXPECT_LE(mappings(), before + 400);
  });
}

TEST(lock_os_thread, the_world_stops_and_changes_while_locked_ones_wait) {
  test::with_procs(3, [] {
    constexpr int count = 6;
    wait_group all;
    auto gate = make_chan<element>();
    std::atomic<bool> stop{false};
    for (int i = 0; i < count; ++i) {
      all.go([&] {
        runtime::lock_os_thread();
        const int mine = thread_id();
        while (!stop.load(std::memory_order_relaxed)) {
          (void)gate.recv_for(100us);
          ASSERT_EQ(thread_id(), mine);
        }
        runtime::unlock_os_thread();
      });
    }
    std::vector<char> text(1 << 20);
    for (int round = 0; round < 30; ++round) {
      runtime::gomaxprocs(1 + round % 4);
      const std::size_t used = runtime::stack(std::span(text.data(), text.size()), true);
      EXPECT_GT(used, 0U);
    }
    stop.store(true, std::memory_order_relaxed);
    all.wait();
    runtime::gomaxprocs(3);
  });
}

// Threads of their own, which hand one P to each other for as long as the test lasts.
class locked_crowd {
 public:
  locked_crowd() {
    for (int i = 0; i < 3; ++i) {
      all_.go([this] {
        runtime::lock_os_thread();
        while (!stop_.load(std::memory_order_relaxed)) runtime::gosched();
        runtime::unlock_os_thread();
      });
    }
  }
  locked_crowd(const locked_crowd&) = delete;
  locked_crowd& operator=(const locked_crowd&) = delete;
  ~locked_crowd() {
    stop_.store(true, std::memory_order_relaxed);
    all_.wait();
  }

 private:
  std::atomic<bool> stop_{false};
  wait_group all_;
};

// None of the two comes to an end if those in the queue of the only P always go first.
TEST(lock_os_thread, they_do_not_starve_what_others_have_readied) {
  test::with_procs(1, [] {
    auto numbers = make_chan<element>();
    std::thread plain;
    {
      const locked_crowd busy;
      plain = std::thread([&] {
        for (int i = 0; i < 200; ++i) numbers.send(i);  // through the global queue
      });
      for (int i = 0; i < 200; ++i) ASSERT_EQ(numbers.recv(), i);
    }
    plain.join();
  });
}

TEST(lock_os_thread, they_do_not_starve_who_is_parked_in_place) {
  test::with_procs(1, [] {
    const locked_crowd busy;
    const auto before = debug::read_scheduler_counts().preemptions;
    while (debug::read_scheduler_counts().preemptions < before + 20) {
      volatile int computed = 0;
      for (int i = 0; i < 100'000; ++i) computed = computed + 1;
    }
  });
}

TEST(lock_os_thread, preempted_in_place_and_readied_from_plain_threads) {
  test::with_procs(1, [] {
    std::atomic<bool> stop{false};
    wait_group all;
    auto numbers = make_chan<element>(4);
    for (int i = 0; i < 3; ++i) {
      all.go([&] {
        runtime::lock_os_thread();
        const int mine = thread_id();
        while (!stop.load(std::memory_order_relaxed)) {
          static volatile char text[] = "x";
          [[maybe_unused]] volatile auto n = std::char_traits<char>::length(
              const_cast<const char*>(text));  // a call that ThreadSanitizer sees
          if constexpr (base::with_tsan) std::this_thread::yield();
          ASSERT_EQ(thread_id(), mine);
        }
        while (numbers.recv()) ASSERT_EQ(thread_id(), mine);
      });
    }
    for (int i = 0; i < 5; ++i) gort::sleep(2ms);
    stop.store(true, std::memory_order_relaxed);
    std::thread plain([&] {
      for (int i = 0; i < 1000; ++i) numbers.send(i);
      numbers.close();
    });
    all.wait();
    plain.join();
  });
}

TEST(lock_os_thread, main_goroutine_of_a_locked_thread_runs_on_it) {
  std::thread([] {
    const int mine = thread_id();
    runtime::lock_os_thread();
    for (int round = 0; round < 3; ++round) {
      run([&] {
        EXPECT_EQ(thread_id(), mine);
        auto c = make_chan<element>();
        for (int i = 0; i < 100; ++i) {
          go([&, c] {
            EXPECT_NE(thread_id(), mine);
            c.send(1);
          });
          c.recv();
          ASSERT_EQ(thread_id(), mine);
        }
        gort::sleep(1ms);
        EXPECT_EQ(thread_id(), mine);
        if (round == 1) {  // free to go: and the thread runs nothing else
          runtime::unlock_os_thread();
          for (int i = 0; i < 200; ++i) {
            go([&] { EXPECT_NE(thread_id(), mine); });
            runtime::gosched();
          }
          gort::sleep(1ms);
          EXPECT_NE(thread_id(), mine);
          EXPECT_THROW(runtime::unlock_os_thread(), runtime_error);
        }
      });
      EXPECT_EQ(thread_id(), mine);
    }
    runtime::unlock_os_thread();
    EXPECT_THROW(runtime::unlock_os_thread(), runtime_error);
  }).join();
}

}  // namespace
}  // namespace gort
