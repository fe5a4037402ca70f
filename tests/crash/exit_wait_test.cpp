// The end of a program: destructors that wait, for what still comes and for what does not, and
// reports that are being made. The programs are the disabled tests: this executable runs itself for
// one of them.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "sched/gmp/inspect.hpp"
#include "support/program.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using test::ended;
using test::run_program;

struct receiver {
  chan<int> from;
  ~receiver() {
    if (from) from.recv();
  }
};

TEST(program, DISABLED_a_destructor_that_waits_for_a_goroutine) {
  static receiver waits;
  run([] {
    waits.from = make_chan<int>();
    go([] {
      gort::sleep(1h);
      waits.from.send(1);
    });
    runtime::gosched();
  });
}

TEST(program, DISABLED_a_destructor_that_waits_on_a_goroutine_s_thread) {
  static receiver waits;
  run([] {
    waits.from = make_chan<int>();
    go([] { std::exit(0); });
    waits.from.recv();
  });
}

TEST(program, DISABLED_a_destructor_that_waits_beside_a_thread) {
  static receiver waits;
  run([] {
    waits.from = make_chan<int>();
    std::thread([] { std::this_thread::sleep_for(100ms); }).detach();
  });
}

TEST(program, DISABLED_waiting_after_run) {
  auto c = make_chan<int>();
  run([&] {
    go([c] {
      gort::sleep(1h);
      c.send(1);
    });
  });
  c.recv();
}

TEST(program, DISABLED_run_in_a_destructor) {
  struct runner {
    ~runner() {
      if (on) run([] {});
    }
    bool on = false;
  };
  static runner late;
  run([] {});
  late.on = true;
}

TEST(exit, waiting_for_goroutines_after_their_end_is_a_deadlock) {
  for (const char* name : {"a_destructor_that_waits_for_a_goroutine",
                           "a_destructor_that_waits_on_a_goroutine_s_thread",
                           "a_destructor_that_waits_beside_a_thread"}) {
    const ended p = run_program(name);
    EXPECT_EQ(p.status, 2) << name << p.head();
    EXPECT_TRUE(p.has("gort: a thread waits after exit() has begun, or main has returned: "))
        << p.head();
    EXPECT_TRUE(p.has("fatal error: all goroutines are asleep - deadlock!\n")) << p.head();
  }
  const ended between = run_program("waiting_after_run");
  EXPECT_EQ(between.status, 2) << between.head();
  EXPECT_TRUE(between.has("gort: a thread waits after run() has returned: ")) << between.head();
  const ended again = run_program("run_in_a_destructor");
  EXPECT_EQ(again.status, 2) << again.head();
  EXPECT_TRUE(again.has("gort: run() called after exit() has begun")) << again.head();
}

// Sends from a plain thread, and sleeps.
TEST(program, DISABLED_destructors_that_need_not_wait_for_goroutines) {
  struct served {
    chan<int> from;
    ~served() {
      if (!from) return;
      gort::sleep(1ms);
      if (from.recv_for(1ms)) std::_Exit(91);
      std::thread other([this] { from.send(7); });
      if (from.recv() != 7) std::_Exit(92);
      other.join();
      mutex m;
      m.lock();
      m.unlock();
    }
  };
  static served by_others;
  run([] {
    go([] {
      by_others.from = make_chan<int>();
      std::exit(4);
    });
    make_chan<int>().recv();
  });
}

TEST(exit, a_destructor_may_wait_for_threads_and_times) {
  const ended p = run_program("destructors_that_need_not_wait_for_goroutines");
  EXPECT_EQ(p.status, 4) << p.head();
}

// ------------------------------------------------------------------------------ reports under way

void panic_while_main_returns(std::chrono::microseconds later) {
  run([later] {
    go([] { throw std::runtime_error("no such account"); });
    while (!sched::report_is_under_way()) gort::sleep(1ms);
    if (later != 0us) gort::sleep(later);
  });
}

TEST(program, DISABLED_panic_at_once) { panic_while_main_returns(0us); }
TEST(program, DISABLED_panic_a_bit_later) { panic_while_main_returns(2ms); }
TEST(program, DISABLED_panic_later) { panic_while_main_returns(20ms); }

TEST(program, DISABLED_panic_beside_exit) {
  run([] {
    go([] { throw std::runtime_error("no such account"); });
    while (!sched::report_is_under_way()) gort::sleep(1ms);
    std::exit(0);
  });
}

TEST(program, DISABLED_quit_while_main_returns) {
  run([] { raise(SIGQUIT); });
}

TEST(exit, a_panic_under_way_is_not_lost) {
  for (const char* name :
       {"panic_at_once", "panic_a_bit_later", "panic_later", "panic_beside_exit"}) {
    const ended p = run_program(name);
    EXPECT_EQ(p.status, 2) << name << p.head();
    EXPECT_TRUE(p.has("panic: no such account\n\ngoroutine ")) << name << p.head();
  }
  const ended quit = run_program("quit_while_main_returns");
  EXPECT_EQ(quit.status, 2) << quit.head();
  EXPECT_TRUE(quit.has("SIGQUIT: quit")) << quit.head();
}

}  // namespace
}  // namespace gort
