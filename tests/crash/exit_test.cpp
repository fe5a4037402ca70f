// The end of a program: nothing of gort runs user code while static destructors do, whatever it is
// doing when run() returns or exit() is called, and destructors get what goroutines hold, or an
// end. The programs are the disabled tests: this executable runs itself for one of them.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/blocking.hpp>
#include <gort/chan.hpp>
#include <gort/debug.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "support/program.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using test::ended;
using test::run_program;

constexpr int went_on = 91;

[[noreturn]] void end_with(int status, std::string_view why) {
  (void)!write(STDERR_FILENO, why.data(), why.size());
  _exit(status);
}

detail::atomic<long> counted;

// Never enters gort.
[[noreturn, gnu::noinline]] void counts_for_ever() {
  for (;;) counted.fetch_add_relaxed(1);
}

// Its destructor looks whether anything counts on.
struct observer {
  bool on = false;
  ~observer() {
    if (!on) return;
    const long before = counted.load_relaxed();
    std::this_thread::sleep_for(30ms);
    if (counted.load_relaxed() != before) end_with(went_on, "went on while destructors ran\n");
  }
};
observer static_observer;  // made before the runtime starts

void observe_statics_made_later() {
  static observer later;
  later.on = static_observer.on = true;
}

void until_they_count() {
  const long before = counted.load_relaxed();
  while (counted.load_relaxed() == before) gort::sleep(1ms);
}

// ------------------------------------------------------------------------------ who is stopped

TEST(program, DISABLED_computing_when_run_returns) {
  observer local;
  run([&] {
    observe_statics_made_later();
    for (int i = 0; i < 3; ++i) go(counts_for_ever);
    until_they_count();
    local.on = true;
  });
}

TEST(program, DISABLED_computing_inside_blocking_when_run_returns) {
  observer local;
  run([&] {
    observe_statics_made_later();
    for (int i = 0; i < 3; ++i) go([] { blocking(counts_for_ever); });
    until_they_count();
    local.on = true;
  });
}

TEST(program, DISABLED_computing_without_run) {
  go(counts_for_ever);
  while (counted.load_relaxed() == 0) std::this_thread::sleep_for(1ms);
  observe_statics_made_later();
}

TEST(program, DISABLED_computing_when_a_goroutine_exits) {
  run([] {
    for (int i = 0; i < 3; ++i) go(counts_for_ever);
    go([] {
      until_they_count();
      observe_statics_made_later();
      std::exit(3);
    });
    make_chan<int>().recv();
  });
}

TEST(program, DISABLED_computing_when_a_goroutine_exits_from_blocking) {
  run([] {
    go(counts_for_ever);
    until_they_count();
    observe_statics_made_later();
    blocking([] { std::exit(3); });
  });
}

TEST(program, DISABLED_computing_when_a_plain_thread_exits) {
  std::thread([] {
    go(counts_for_ever);
    while (counted.load_relaxed() == 0) std::this_thread::sleep_for(1ms);
    observe_statics_made_later();
    std::exit(3);
  }).join();
}

// The C library has called it, and may hold a lock for all that anybody knows: after half a second
// it is kept there.
[[noreturn]] void counts_in_a_call_back() {
  std::array<int, 2> some{};
  std::qsort(some.data(), some.size(), sizeof(int),
             [](const void*, const void*) -> int { counts_for_ever(); });
  std::abort();
}

TEST(program, DISABLED_in_a_call_back_when_run_returns) {
  run([] {
    go(counts_in_a_call_back);
    until_they_count();
  });
  const observer local{true};
}

TEST(program, DISABLED_the_world_is_stopped_once_more_after_run) {
  observer local;
  run([&] {
    observe_statics_made_later();
    go(counts_in_a_call_back);
    until_they_count();
    local.on = true;
  });
  runtime::gomaxprocs(3);
}

TEST(program, DISABLED_exit_beside_other_stops) {
  run([] {
    for (int i = 0; i < 2; ++i) {
      go([i] {
        for (int n = 1;; ++n) runtime::gomaxprocs(1 + (n + i) % 4);
      });
    }
    go(counts_for_ever);
    until_they_count();
    observe_statics_made_later();
    std::exit(3);
  });
}

// Its destructor waits in gort, for a thread.
struct patient {
  chan<int> from;
  ~patient() {
    if (!from) return;
    const long before = counted.load_relaxed();
    std::thread other([this] {
      std::this_thread::sleep_for(100ms);
      from.send(1);
    });
    from.recv();
    if (counted.load_relaxed() != before) end_with(went_on, "went on while a destructor waited\n");
    other.join();
  }
};

TEST(program, DISABLED_computing_when_a_destructor_waits) {
  static patient waits;
  run([] {
    waits.from = make_chan<int>();
    go(counts_for_ever);
    until_they_count();
  });
}

TEST(exit, nothing_computes_while_destructors_run) {
  for (const char* name :
       {"computing_when_run_returns", "computing_inside_blocking_when_run_returns",
        "computing_without_run", "computing_when_a_destructor_waits",
        "in_a_call_back_when_run_returns", "the_world_is_stopped_once_more_after_run"}) {
    const ended p = run_program(name);
    EXPECT_EQ(p.status, 0) << name << p.head();
  }
  for (const char* name :
       {"computing_when_a_goroutine_exits", "computing_when_a_goroutine_exits_from_blocking",
        "computing_when_a_plain_thread_exits", "exit_beside_other_stops"}) {
    const ended p = run_program(name);
    EXPECT_EQ(p.status, 3) << name << p.head();
  }
}

// Wakes those that wait in a call, and looks whether they go on.
struct waker {
  int fd = -1;
  ~waker() {
    if (fd < 0) return;
    for (int i = 0; i < 4; ++i) (void)!write(fd, "x", 1);
    std::this_thread::sleep_for(30ms);
    if (counted.load_relaxed() != 0) end_with(went_on, "went on after its call\n");
  }
};

void read_and_count(int fd) {
  char c;
  (void)!read(fd, &c, 1);
  counts_for_ever();
}

TEST(program, DISABLED_in_a_call_when_run_returns) {
  static waker wakes;
  run([&] {
    std::array<int, 2> pipe{};
    ASSERT_EQ(pipe2(pipe.data(), O_CLOEXEC), 0);
    const std::uint64_t before = debug::read_scheduler_counts().unannounced_blocking;
    go([&pipe] { read_and_count(pipe[0]); });
    while (debug::read_scheduler_counts().unannounced_blocking == before) gort::sleep(1ms);
    for (int i = 0; i < 2; ++i) go([fd = pipe[0]] { blocking([&] { read_and_count(fd); }); });
    gort::sleep(5ms);
    wakes.fd = pipe[1];
  });
}

TEST(exit, what_waits_in_a_call_does_not_return_from_it) {
  const ended p = run_program("in_a_call_when_run_returns");
  EXPECT_EQ(p.status, 0) << p.head();
}

// --------------------------------------------------------------------------------- what they hold

[[gnu::noinline]] void allocates() {
  for (;;) {
    void* p = std::malloc(5000);  // more than what a thread keeps for itself
    asm volatile("" : : "r"(p) : "memory");
    std::free(p);
    counted.fetch_add_relaxed(1);
  }
}

// Of other threads' arenas too. Where its destructor has to wait for a lock, who holds that goes on
// for a moment, and may be stopped again a moment after the destructor's end: it must come to that.
struct heap_of_all {
  std::array<std::vector<std::unique_ptr<char[]>>, 3> parts;
  bool on = false;
  ~heap_of_all() {
    if (!on) return;
    for (auto& part : parts) part.clear();
    for (int i = 0; i < 300; ++i) {
      const long before = counted.load_relaxed();
      std::this_thread::sleep_for(30ms);
      if (counted.load_relaxed() == before) return;
    }
    end_with(went_on, "went on after the locks had been given\n");
  }
};

TEST(program, DISABLED_allocating_at_the_end) {
  static heap_of_all heap;
  run([] {
    runtime::gomaxprocs(4);
    wait_group filled;
    for (auto& part : heap.parts) {
      filled.add(1);
      go([&part, &filled] {
        for (int i = 0; i < 500; ++i) part.push_back(std::make_unique<char[]>(3000));
        filled.done();
        allocates();
      });
    }
    filled.wait();
    until_they_count();
    heap.on = true;
    observe_statics_made_later();
  });
}

TEST(exit, destructors_get_the_locks_of_malloc) {
  for (int i = 0; i < 5; ++i) {
    for (const char* arenas : {"MALLOC_ARENA_MAX=1", "MALLOC_ARENA_MAX=8"}) {
      const ended p = run_program("allocating_at_the_end", arenas);
      ASSERT_EQ(p.status, 0) << p.head();
    }
  }
}

struct holder {
  std::mutex lock;
  bool on = false;
  ~holder() {
    if (on) lock.lock();
  }
};

// Computes for so long that it is stopped with the lock in its hands, and needs some more.
TEST(program, DISABLED_a_lock_held_at_the_end) {
  static holder held;
  run([] {
    auto locked = make_chan<int>(1);
    go([locked] {
      const std::lock_guard guard(held.lock);
      locked.send(1);
      const auto end = std::chrono::steady_clock::now() + 200ms;
      while (std::chrono::steady_clock::now() < end) counted.fetch_add_relaxed(1);
    });
    locked.recv();
    held.on = true;
  });
}

TEST(exit, destructors_get_the_locks_of_the_program) {
  const ended p = run_program("a_lock_held_at_the_end");
  EXPECT_EQ(p.status, 0) << p.head();
}

}  // namespace
}  // namespace gort
