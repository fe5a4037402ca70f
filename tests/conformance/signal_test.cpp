// gort::signal: who is told of which signal, and what signals do otherwise.
#include <gort/signal.hpp>

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gort/exec.hpp>
#include <gort/go.hpp>
#include <gort/runtime.hpp>
#include <gort/select.hpp>
#include <gort/sync.hpp>
#include <gort/time.hpp>

#include "base/sanitizer.hpp"
#include "support/program.hpp"
#include "support/run.hpp"
#include "support/send_signal.hpp"
#include "support/skip.hpp"
#include "sync/chan_access.hpp"

namespace gort {
namespace {

using namespace std::chrono_literals;
using test::send_signal;

int handled = 0;
void handle(int) { ++handled; }

// Until the handler has run: kill(2) returns when some thread has got the signal.
void send_and_wait(int signal) {
  const int before = handled;
  send_signal(signal);
  for (int i = 0; i < 10'000 && handled == before; ++i) gort::sleep(1ms);
}

TEST(signal, arrives_on_every_channel_that_wants_it) {
  test::with_procs(2, [] {
    const auto one = make_chan<int>(1);
    const auto two = make_chan<int>(1);
    signal::notify(one, SIGUSR1);
    signal::notify(two, SIGUSR1, SIGUSR2);
    signal::notify(one, SIGUSR2);  // one more
    for (const int each : {SIGUSR1, SIGUSR2, SIGUSR1}) {
      send_signal(each);
      EXPECT_EQ(one.recv(), each);
      EXPECT_EQ(two.recv(), each);
    }
    signal::stop(one);
    send_signal(SIGUSR2);
    EXPECT_EQ(two.recv(), SIGUSR2);
    EXPECT_FALSE(one.try_recv().ready);
    signal::stop(two);
    signal::stop(two);  // nothing happens
  });
}

TEST(signal, a_send_does_not_wait) {
  test::with_procs(2, [] {
    const auto full = make_chan<int>(1);
    const auto unbuffered = make_chan<int>();
    const auto roomy = make_chan<int>(100);
    signal::notify(full, SIGUSR1);
    signal::notify(unbuffered, SIGUSR1);
    signal::notify(roomy, SIGUSR1);
    for (int i = 0; i < 10; ++i) {
      send_signal(SIGUSR1);
      EXPECT_EQ(roomy.recv(), SIGUSR1);
    }
    EXPECT_EQ(full.len(), 1U);
    EXPECT_FALSE(unbuffered.try_recv().ready);
    for (const auto& each : {full, unbuffered, roomy}) signal::stop(each);
  });
}

TEST(signal, a_plain_thread_may_wait_and_send) {
  const auto c = make_chan<int>(1);
  signal::notify(c, SIGUSR1);
  std::thread waits([&] { EXPECT_EQ(c.recv(), SIGUSR1); });
  send_signal(SIGUSR1);
  waits.join();
  signal::stop(c);
}

TEST(signal, stop_restores_what_was_before) {
  std::signal(SIGUSR1, handle);
  test::with_procs(2, [] {
    const auto c = make_chan<int>(1);
    for (int i = 0; i < 3; ++i) {
      signal::notify(c, SIGUSR1);
      send_signal(SIGUSR1);
      EXPECT_EQ(c.recv(), SIGUSR1);
      EXPECT_EQ(handled, i);
      signal::stop(c);
      send_and_wait(SIGUSR1);
      EXPECT_EQ(handled, i + 1);
      EXPECT_FALSE(c.try_recv().ready);
    }
  });
  std::signal(SIGUSR1, SIG_DFL);
}

TEST(signal, ignored_at_the_start_is_told_of_and_then_ignored_again) {
  std::signal(SIGHUP, SIG_IGN);
  test::with_procs(2, [] {
    EXPECT_TRUE(signal::ignored(SIGHUP));
    const auto c = make_chan<int>(1);
    signal::notify(c, SIGHUP);
    EXPECT_FALSE(signal::ignored(SIGHUP));
    send_signal(SIGHUP);
    EXPECT_EQ(c.recv(), SIGHUP);
    signal::stop(c);
    EXPECT_TRUE(signal::ignored(SIGHUP));
    send_signal(SIGHUP);
    signal::reset();
    EXPECT_TRUE(signal::ignored(SIGHUP));
  });
  std::signal(SIGHUP, SIG_DFL);
}

TEST(signal, ignore_and_reset) {
  std::signal(SIGUSR1, handle);
  test::with_procs(2, [] {
    handled = 0;
    const auto c = make_chan<int>(1);
    signal::notify(c, SIGUSR1, SIGUSR2);
    signal::ignore(SIGUSR1);
    EXPECT_TRUE(signal::ignored(SIGUSR1));
    send_signal(SIGUSR1);
    send_signal(SIGUSR2);
    EXPECT_EQ(c.recv(), SIGUSR2);
    const std::string status =
        exec::output({.program = "cat", .arguments = {"/proc/self/status"}}).out;
    const auto ignored = std::stoull(status.substr(status.find("SigIgn:") + 8, 16), nullptr, 16);
    EXPECT_NE(ignored & (1U << (SIGUSR1 - 1)), 0U) << "programs inherit it";
    signal::reset(SIGUSR1);
    EXPECT_FALSE(signal::ignored(SIGUSR1));
    EXPECT_EQ(handled, 0);
    send_and_wait(SIGUSR1);
    EXPECT_EQ(handled, 1);
    signal::reset();
    EXPECT_FALSE(c.try_recv().ready);
  });
  std::signal(SIGUSR1, SIG_DFL);
}

TEST(signal, no_list_means_all) {
  test::with_procs(2, [] {
    const auto c = make_chan<int>(10);
    signal::notify(c);
    // SIGURG and SIGSEGV have handlers of gort's own, SIGQUIT would print.
    for (const int each : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGURG, SIGSEGV, SIGBUS,
                           SIGFPE, SIGCHLD, SIGPIPE, SIGRTMIN, SIGRTMAX}) {
      if (base::with_tsan && (each == SIGSEGV || each == SIGBUS || each == SIGFPE)) continue;
      if (each == SIGURG && base::with_tsan) continue;
      send_signal(each);
      EXPECT_EQ(c.recv(), each);
    }
    signal::stop(c);
    send_signal(SIGURG);
    EXPECT_FALSE(c.try_recv().ready);
  });
}

TEST(signal, odd_numbers_do_nothing) {
  test::with_procs(1, [] {
    const auto c = make_chan<int>(1);
    signal::notify(c, SIGKILL, SIGSTOP, 0, -1, 65, 1000);
    EXPECT_EQ(detail::chan_access::core(c).handle_count(), 1u) << "kept for nothing";
    signal::stop(c);
    signal::ignore(SIGKILL, 1000);
    try {
      signal::notify(chan<int>(), SIGUSR1);
      ADD_FAILURE();
    } catch (const runtime_error& e) {
      EXPECT_STREQ(e.what(), "os/signal: Notify using nil channel");
    }
  });
}

// What comes while goroutines compute, and are parked in place by SIGURG, is not held up by them.
TEST(signal, beside_goroutines_that_compute) {
  test::with_procs(2, [] {
    detail::atomic<int> ends;
    wait_group busy;
    for (int i = 0; i < 4; ++i) {
      busy.go([&] {
        while (ends.load_relaxed() == 0) {
          if constexpr (base::with_tsan) std::this_thread::yield();
        }
      });
    }
    const auto c = make_chan<int>(1);
    signal::notify(c, SIGUSR1);
    for (int i = 0; i < 20; ++i) {
      send_signal(SIGUSR1);
      EXPECT_EQ(c.recv(), SIGUSR1);
    }
    signal::stop(c);
    ends.store_relaxed(1);
    busy.wait();
  });
}

// Nothing is lost or made up while channels come and go: who has been told first tells how many.
TEST(signal, notify_and_stop_from_everywhere) {
  test::with_procs(4, [] {
    detail::atomic<int> ends;
    const auto always = make_chan<int>(1);
    signal::notify(always, SIGUSR1);
    wait_group all;
    for (int i = 0; i < 8; ++i) {
      all.go([&] {
        while (ends.load_relaxed() == 0) {
          const auto c = make_chan<int>(1);
          signal::notify(c, SIGUSR1, SIGUSR2);
          runtime::gosched();
          signal::stop(c);
          const std::size_t after = c.len();
          runtime::gosched();
          EXPECT_EQ(c.len(), after);
        }
      });
    }
    for (int i = 0; i < 300; ++i) {
      send_signal(SIGUSR1);
      EXPECT_EQ(always.recv(), SIGUSR1);
    }
    ends.store_relaxed(1);
    all.wait();
    signal::stop(always);
  });
}

TEST(signal, a_context_ends_by_a_signal) {
  test::with_procs(2, [] {
    auto [ctx, stop] = signal::notify_context(background(), SIGUSR1, SIGTERM);
    EXPECT_FALSE(ctx.err());
    send_signal(SIGTERM);
    ctx.done().recv();
    EXPECT_EQ(ctx.err(), context_error::canceled);
    try {
      std::rethrow_exception(ctx.cause());
    } catch (const signal::received& r) {
      EXPECT_EQ(r.number(), SIGTERM);
      EXPECT_STREQ(r.what(), "terminated signal received");
    }
    const auto c = make_chan<int>(1);
    signal::notify(c, SIGTERM);
    send_signal(SIGTERM);  // still caught
    c.recv();
    stop();
    stop();
    signal::stop(c);
    // By its parent, and by the function.
    auto [parent, cancel] = with_cancel(background());
    auto below = signal::notify_context(parent, SIGUSR1);
    cancel();
    below.ctx.done().recv();
    auto other = signal::notify_context(background(), SIGUSR1);
    other.stop();
    other.ctx.done().recv();
  });
}

TEST(signal, a_context_outlives_the_temporary_it_is_taken_from) {
  test::with_procs(2, [] {
    auto ctx = signal::notify_context(background(), SIGUSR1).ctx;
    EXPECT_FALSE(ctx.err());
    send_signal(SIGUSR1);
    ctx.done().recv();
    EXPECT_NE(ctx.cause(), nullptr);
    const context child = signal::notify_context(with_timeout(background(), 1h).ctx, SIGUSR1).ctx;
    EXPECT_FALSE(child.err());
    // A whole one that is moved stops when its last place goes.
    context kept;
    {
      auto one = signal::notify_context(background(), SIGUSR1);
      const auto other = std::move(one);
      kept = other.ctx;
      EXPECT_FALSE(kept.err());
    }
    EXPECT_TRUE(kept.err());
    signal::reset();
  });
}

}  // namespace
}  // namespace gort
