// The profile "goroutineleak": whom it must not find, however they hold what they wait for.
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

#include <gort/chan.hpp>
#include <gort/context.hpp>
#include <gort/detail/atomic.hpp>
#include <gort/go.hpp>
#include <gort/mutex.hpp>
#include <gort/runtime.hpp>
#include <gort/select.hpp>
#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "os/memory.hpp"
#include "os/preempt.hpp"
#include "support/leak_support.hpp"
#include "support/parked.hpp"
#include "support/run.hpp"

namespace {

using namespace std::chrono_literals;
using gort::chan;
using gort::go;
using gort::make_chan;
using gort::test::leaks;
using gort::test::more_leaks;

TEST(goroutine_leak, is_none_while_somebody_has_a_handle) {
  gort::test::with_procs(2, [] {
    gort::wait_group all;
    auto kept = make_chan<int>();
    const auto holds = [&](int waiting, auto start) { EXPECT_EQ(more_leaks(waiting, start), 0); };
    holds(1, [&] { all.go([kept] { kept.recv(); }); });
    // The chain again: its end is kept.
    holds(20, [&] {
      auto mine = kept;
      for (int i = 0; i < 20; ++i) {
        auto next = make_chan<int>();
        all.go([mine, next] {
          mine.recv();
          next.close();
        });
        mine = next;
      }
    });
    // In memory that is nobody's: a closure too large for a stack, a shared object, a buffer.
    auto shared = std::make_shared<chan<int>>(make_chan<int>());
    holds(1, [&] { all.go([c = *shared] { c.recv(); }); });
    auto parcels = make_chan<chan<int>>(1);
    auto sent = make_chan<int>();
    holds(1, [&] {
      all.go([sent] { sent.recv(); });
      parcels.send(std::move(sent));
    });
    // By who sleeps or has not started yet, and by a plain thread.
    gort::detail::atomic<bool> over{false};
    holds(1, [&] {
      auto c = make_chan<int>();
      all.go([c] { c.recv(); });
      all.go([c, &over] {
        while (!over.load_relaxed()) gort::sleep(1ms);
        c.close();
      });
    });
    auto end_of_thread = make_chan<int>();
    std::thread thread;
    holds(1, [&] {
      auto c = make_chan<int>();
      all.go([c] { c.recv(); });
      thread = std::thread([c, end_of_thread] {
        end_of_thread.recv();
        c.close();
      });
    });
    over.store_relaxed(true);
    end_of_thread.close();
    kept.close();
    shared->close();
    parcels.recv()->close();
    all.wait();
    thread.join();
  });
}

TEST(goroutine_leak, is_none_whose_channel_somebody_refers_to) {
  gort::test::with_procs(2, [] {
    // The only handle is this frame's, which waits itself; the look is another one's.
    for (int way = 0; way < 4; ++way) {
      auto c = make_chan<int>();
      gort::detail::atomic<std::int64_t> seen{-1};
      std::function<void()> kept;
      const gort::test::arrivals since;
      const auto look_and_send = [&c, &seen, &since, before = leaks()] {
        since.wait_for(1, gort::test::wait_reason::chan_receive);
        seen.store_relaxed(leaks() - before);
        c.send(1);
      };
      auto go_on = make_chan<int>();
      std::thread thread;
      switch (way) {
        case 0: go(look_and_send); break;
        case 1:  // who refers to it sleeps, another one looks
          go([&] {
            // Acquire pairs with the release below: this frame's objects may end after it.
            while (seen.load_acquire() < 0) gort::sleep(1ms);
            c.send(1);
          });
          go([&seen, &since, before = leaks()] {
            since.wait_for(1, gort::test::wait_reason::chan_receive);
            seen.store_release(leaks() - before);
          });
          break;
        case 2:  // through a function on the heap
          kept = look_and_send;
          go([f = &kept] { (*f)(); });
          break;
        case 3: thread = std::thread(look_and_send); break;
      }
      c.recv();
      EXPECT_EQ(seen.load_relaxed(), 0) << way;
      if (thread.joinable()) thread.join();
    }
  });
}

// Written there before that was forbidden.
TEST(goroutine_leak, is_none_whose_mutex_is_known_to_a_page_that_can_only_be_read) {
  gort::test::with_procs(2, [] {
    void* const page = mmap(nullptr, gort::os::page_bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(page, MAP_FAILED);
    auto* const known = static_cast<gort::detail::atomic<gort::mutex*>*>(page);
    gort::wait_group all;
    EXPECT_EQ(more_leaks(1,
                         [&] {
                           all.go([known] {
                             gort::mutex mutex;
                             mutex.lock();
                             known->store_relaxed(&mutex);
                             mutex.lock();  // which somebody else ends
                             mutex.unlock();
                           });
                           while (known->load_relaxed() == nullptr) gort::runtime::gosched();
                           ASSERT_EQ(mprotect(page, gort::os::page_bytes, PROT_READ), 0);
                         }),
              0);
    known->load_relaxed()->unlock();
    all.wait();
    munmap(page, gort::os::page_bytes);
  });
}

// The only reference is in a closure whose goroutine sleeps in a system call: a register that such
// calls leave alone would do for it, and could not be read.
TEST(goroutine_leak, is_none_whose_waker_sleeps_in_a_call) {
  static int ends[2];
  static gort::detail::atomic<gort::os::thread_handle> thread;
  ASSERT_EQ(pipe(ends), 0);
  gort::test::with_procs(2, [] {
    const std::int64_t before = leaks();
    auto looked = make_chan<std::int64_t>(1);
    const gort::test::arrivals since;
    go([looked, &since] {
      gort::test::until_asleep(thread);
      since.wait_for(1, gort::test::wait_reason::chan_receive);
      looked.send(leaks());
      EXPECT_EQ(write(ends[1], "x", 1), 1);
    });
    auto c = make_chan<int>();
    go([&c] {
      thread.store_release(gort::os::this_thread());  // pairs with the acquire in until_asleep()
      char byte;
      EXPECT_EQ(read(ends[0], &byte, 1), 1);
      c.send(1);
    });
    c.recv();
    EXPECT_EQ(looked.recv(), before);
  });
  close(ends[0]);
  close(ends[1]);
}

TEST(goroutine_leak, is_none_whose_wait_ends_by_itself) {
  gort::test::with_procs(2, [] {
    gort::wait_group all;
    const auto [ctx, cancel] = gort::with_cancel(gort::background());
    EXPECT_EQ(more_leaks(4,
                         [&, ctx = ctx] {
                           go([] { (void)make_chan<int>().recv_for(1h); });
                           go([] { (void)chan<int>().recv_for(1h); });
                           go([] {
                             auto never = make_chan<int>();
                             gort::select(never.on_recv([] {}), gort::after(1h).on_recv([] {}));
                           });
                           all.go([ctx = ctx] { ctx.done().recv(); });
                         }),
              0);
    cancel();
    all.wait();
  });
}

// Everything that is used ends, so nobody is ever leaked: whatever the moment of the look.
TEST(goroutine_leak, is_nobody_of_those_who_go_on) {
  gort::test::with_procs(4, [] {
    const std::int64_t before = leaks();
    gort::detail::atomic<bool> over{false};
    gort::wait_group crowd;
    for (int i = 0; i < 6; ++i) {
      crowd.go([&over, i] {
        while (!over.load_relaxed()) {
          auto request = make_chan<chan<int>>(i % 2);
          auto results = make_chan<int>();
          auto end = make_chan<gort::unit>();
          go([request, end] {
            while (auto reply = request.recv()) reply->send(1);
            end.close();
          });
          go([&results] { results.send(2); });
          for (int k = 0; k < 3; ++k) {
            auto reply = make_chan<int>();
            request.send(reply);
            reply.recv();
          }
          results.recv();
          request.close();
          end.recv();
        }
      });
    }
    for (int i = 0; i < 40; ++i) ASSERT_EQ(leaks(), before) << gort::test::written_leaks(2);
    over.store_relaxed(true);
    crowd.wait();
  });
}

}  // namespace
