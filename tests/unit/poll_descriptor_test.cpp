// Poll descriptors: numbers are never used by two, memory is recycled, late events do no harm.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cerrno>

#include <gtest/gtest.h>

#include <gort/time.hpp>
#include <gort/wait_group.hpp>

#include "os/socket.hpp"
#include "poll/poller.hpp"
#include "support/run.hpp"

namespace gort::poll {
namespace {

using namespace std::chrono_literals;
using test::with_procs;

struct pair {
  descriptor* a = nullptr;
  int b = -1;
  pair() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) return;
    int error = 0;
    a = adopt(ends[0], error);
    b = ends[1];
  }
  ~pair() {
    if (b >= 0) ::close(b);
  }
  pair(const pair&) = delete;
  pair& operator=(const pair&) = delete;
};

bool is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

TEST(poll_descriptor, what_epoll_refuses_stays_the_callers) {
  const int file = open("/dev/null", O_RDONLY);
  ASSERT_GE(file, 0);
  int error = 0;
  EXPECT_EQ(adopt(file, error), nullptr);
  EXPECT_EQ(error, EPERM);
  EXPECT_TRUE(is_open(file));
  ::close(file);
}

// [poll-3]
TEST(poll_descriptor, number_lives_as_long_as_an_operation) {
  pair p;
  ASSERT_NE(p.a, nullptr);
  int fd = -1;
  {
    const hold first(p.a);
    ASSERT_TRUE(first);
    fd = first.fd();
    EXPECT_TRUE(close(*p.a));
    EXPECT_FALSE(close(*p.a));
    EXPECT_FALSE(hold(p.a));
    EXPECT_TRUE(is_open(fd));
    abandon(*p.a);
    EXPECT_TRUE(is_open(fd));
  }
  EXPECT_FALSE(is_open(fd));
  EXPECT_FALSE(hold(nullptr));
}

// [poll-4]: the same memory, another generation; an old tag finds nobody.
TEST(poll_descriptor, memory_is_recycled_under_another_tag) {
  descriptor* first = nullptr;
  std::uint64_t old_tag = 0;
  {
    pair p;
    first = p.a;
    old_tag = tag_of(*p.a);
    EXPECT_EQ(find_descriptor(old_tag), p.a);
    abandon(*p.a);
  }
  pair q;
  ASSERT_EQ(q.a, first) << "last in, first out";
  EXPECT_NE(tag_of(*q.a), old_tag);
  EXPECT_EQ(find_descriptor(old_tag), nullptr);
  EXPECT_EQ(find_descriptor(std::uint64_t{1} << 22), nullptr);  // never made
  abandon(*q.a);
}

// [poll-2]
TEST(poll_descriptor, a_hint_too_many_only_costs_a_round) {
  with_procs(2, [] {
    pair p;
    wait_group waiting;
    detail::atomic<int> rounds{0};
    waiting.go([&] {
      operation op(p.a, &descriptor::read);
      char byte = 0;
      for (;; rounds.fetch_add_relaxed(1)) {
        ASSERT_EQ(op.prepare(), verdict::go);
        if (recv(op.fd(), &byte, 1, 0) == 1) break;
        ASSERT_EQ(op.wait(), verdict::go);
      }
      EXPECT_EQ(byte, 'x');
    });
    // Until it was there for some: its thread may be late by more than any number of them takes.
    for (int i = 0; i < 100 || rounds.load_relaxed() < 2; ++i) {
      if (detail::g* woken = p.a->read.notice(i % 2 == 0)) detail::ready(woken);
      runtime::gosched();
    }
    EXPECT_EQ(send(p.b, "x", 1, 0), 1);
    waiting.wait();
    abandon(*p.a);
  });
}

TEST(poll_descriptor, event_before_the_wait_is_not_lost) {
  with_procs(1, [] {
    pair p;
    operation op(p.a, &descriptor::read);
    ASSERT_EQ(op.prepare(), verdict::go);
    EXPECT_EQ(p.a->read.notice(false), nullptr);  // nobody waits yet
    EXPECT_EQ(op.wait(), verdict::go);            // returns at once
    ASSERT_EQ(op.prepare(), verdict::go);
    EXPECT_EQ(p.a->read.word.load_relaxed() & side::ready, 0u);
  });
}

// [poll-6]: the deadline passes while the goroutine that the event has woken is still on its way.
TEST(poll_descriptor, event_is_not_lost_to_a_deadline_just_behind_it) {
  with_procs(1, [] {
    pair p;
    p.a->quick_reads.store_relaxed(true);
    {
      operation op(p.a, &descriptor::read);
      op.note_read(2, 1);  // the queue is empty
    }
    wait_group waiting;
    verdict said = verdict::go;
    waiting.go([&] { said = operation(p.a, &descriptor::read).prepare_read(); });
    while (p.a->read.word.load_relaxed() == 0) runtime::gosched();
    detail::g* woken = p.a->read.notice(false);
    ASSERT_NE(woken, nullptr);
    expire_now(p.a->read);
    detail::ready(woken);
    waiting.wait();
    EXPECT_EQ(said, verdict::timed_out);
    clear_expired(p.a->read);
    bool waited = false;
    EXPECT_EQ(operation(p.a, &descriptor::read).prepare_read(&waited), verdict::go);
    EXPECT_FALSE(waited) << "for an event that has come";
    abandon(*p.a);
  });
}

TEST(poll_descriptor, deadline_and_close_before_the_wait) {
  with_procs(1, [] {
    pair p;
    {
      operation op(p.a, &descriptor::read);
      ASSERT_EQ(op.prepare(), verdict::go);
      expire_now(p.a->read);
      EXPECT_EQ(op.wait(), verdict::timed_out);
      EXPECT_EQ(op.prepare(), verdict::timed_out);
      clear_expired(p.a->read);
      EXPECT_EQ(op.prepare(), verdict::go);
      close(*p.a);
      EXPECT_EQ(op.wait(), verdict::closed);
      EXPECT_FALSE(set_deadline(*p.a, p.a->read, 1));
    }
    abandon(*p.a);
  });
}

TEST(poll_descriptor, pause_lasts_and_is_ended_by_close_only) {
  with_procs(2, [] {
    pair p;
    wait_group waiting;
    const auto begun = std::chrono::steady_clock::now();
    verdict first = verdict::closed;
    verdict second = verdict::go;
    detail::atomic<bool> first_over;
    waiting.go([&] {
      operation op(p.a, &descriptor::read);
      first = op.pause(20'000'000);
      EXPECT_GE(std::chrono::steady_clock::now() - begun, 20ms);
      first_over.store_release(true);
      second = op.pause(3'600'000'000'000);
    });
    for (int i = 0; i < 50; ++i) {  // events do not shorten it
      EXPECT_EQ(send(p.b, "x", 1, 0), 1);
      gort::sleep(1ms);
    }
    while (!first_over.load_acquire()) gort::sleep(1ms);
    close(*p.a);
    waiting.wait();
    EXPECT_EQ(first, verdict::go);
    EXPECT_EQ(second, verdict::closed);
    abandon(*p.a);
  });
}

// Deadlines set, moved and removed by several while others wait, close and recycle.
TEST(poll_descriptor, deadlines_race_with_everything) {
  with_procs(2, [] {
    for (int round = 0; round < 200; ++round) {
      pair p;
      wait_group all;
      all.go([&] {
        operation op(p.a, &descriptor::read);
        if (!op) return;  // closed already
        verdict v = verdict::go;
        for (int i = 0; i < 100 && v != verdict::closed; ++i) {
          v = op.prepare();
          if (v == verdict::go) v = op.wait();
          if (v == verdict::timed_out) runtime::gosched();
        }
        while (v != verdict::closed) {
          runtime::gosched();
          v = op.prepare();
        }
      });
      for (int setter = 0; setter < 2; ++setter) {
        all.go([&, setter] {
          for (int i = 0; i < 20; ++i) {
            const std::int64_t when = detail::now_ns() + (i + setter) % 5 * 10'000;
            set_deadline(*p.a, p.a->read, i % 4 == 3 ? 0 : when);
            if (i % 3 == 0) runtime::gosched();
          }
        });
      }
      all.go([&] {
        for (int i = 0; i < round % 20; ++i) runtime::gosched();
        close(*p.a);
      });
      all.wait();
      abandon(*p.a);
    }
  });
}

}  // namespace
}  // namespace gort::poll
