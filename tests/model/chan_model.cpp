// The channel's core with one or no place in its buffer, and the tickets of waits that several may
// end: each value is received exactly once, nobody waits for ever who has a partner.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>

#include <gtest/gtest.h>

#include <gort/chan.hpp>

#include "model/engine.hpp"
#include "model/expect.hpp"
#include "model/small_scheduler.hpp"

namespace gort::detail {

void ready_tail(g* target) noexcept { ready(target); }
void yield_now() noexcept {}
std::uint32_t fast_random() noexcept { return 1; }
[[noreturn]] void throw_runtime_error(const char* text) { throw runtime_error(text); }

}  // namespace gort::detail

namespace gort::model {
namespace {

struct tally {
  int received = 0;
  int sum = 0;
  int closed = 0;
  int refused = 0;
};

std::function<void()> sends(chan<int> c, std::shared_ptr<tally> t, int first, int count) {
  return [=] {
    for (int i = 0; i < count; ++i) {
      try {
        c.send(first + i);
      } catch (const runtime_error&) {
        ++t->refused;
      }
    }
  };
}

std::function<void()> receives(chan<int> c, std::shared_ptr<tally> t, int count) {
  return [=] {
    for (int i = 0; i < count; ++i) {
      if (const std::optional<int> v = c.recv()) {
        ++t->received;
        t->sum += *v;
      } else {
        ++t->closed;
      }
    }
  };
}

scenario one_to_one(std::int64_t capacity, int values) {
  detail::reset_threads();
  auto c = make_chan<int>(capacity);
  auto t = std::make_shared<tally>();
  return scenario{{sends(c, t, 1, values), receives(c, t, values)}, [t, values] {
                    check(t->received == values, "a value was lost");
                    check(t->sum == values * (values + 1) / 2, "a wrong value");
                  }};
}

TEST(chan, unbuffered_one_to_one) {
  expect_right(explore([] { return one_to_one(0, 2); }));
}
TEST(chan, buffer_of_one_one_to_one) {
  expect_right(explore([] { return one_to_one(1, 2); }));
}

// A quarter of a million schedules, a minute: `make model` covers them all, other runs a part.
limits of_a_long_one() {
  limits bounds;
  if (std::getenv("GORT_MODEL_ALL") == nullptr) bounds.executions_max = 25'000;
  return bounds;
}

TEST(chan, two_senders_one_receiver) {
  const limits bounds = of_a_long_one();
  const outcome o = explore(
      [] {
        detail::reset_threads();
        auto c = make_chan<int>(0);
        auto t = std::make_shared<tally>();
        return scenario{{sends(c, t, 1, 1), sends(c, t, 2, 1), receives(c, t, 2)},
                        [t] { check(t->sum == 3 && t->received == 2, "lost or doubled"); }};
      },
      bounds);
  EXPECT_FALSE(o.failed) << o.report;
  EXPECT_TRUE(o.complete || o.executions >= bounds.executions_max) << o.executions;
  std::printf("%ld executions%s\n", o.executions, o.complete ? "" : ", not all");
}

TEST(chan, close_against_a_sender_and_a_receiver) {
  expect_right(explore([] {
    detail::reset_threads();
    auto c = make_chan<int>(1);
    auto t = std::make_shared<tally>();
    return scenario{{sends(c, t, 1, 1), receives(c, t, 1), [c] { c.close(); }}, [t, c] {
                      const int left = static_cast<int>(c.len());
                      check(t->received + t->closed == 1, "the receiver is still there");
                      check(t->received + left + t->refused == 1, "the value is nowhere");
                    }};
  }));
}

TEST(ticket, one_of_several_wakers_wins) {
  expect_right(explore([] {
    detail::reset_threads();
    struct shared {
      detail::park_ticket ticket;
      detail::g* owner = nullptr;
      plain<int> slot{0};
      detail::atomic<int> published;
    };
    auto s = std::make_shared<shared>();
    auto waker = [s](std::uint32_t index) {
      wait_until(s->published.address(), [s] { return *s->published.address() == 1; });
      check(s->published.load_acquire() == 1, "not published");
      if (s->ticket.claim(index)) {
        s->slot.set(static_cast<int>(index) + 1);
        detail::ready(s->owner);
      }
    };
    return scenario{{[s] {
                       s->owner = detail::current_g();
                       s->published.store_release(1);
                       detail::park(detail::wait_reason::select);
                       const auto winner = s->ticket.winner.load_relaxed();
                       check(s->slot.get() == static_cast<int>(winner), "somebody else's value");
                     },
                     [waker] { waker(0); }, [waker] { waker(1); }}};
  }));
}

// A channel whose receiver queues itself after it has given the lock up: a value can come in
// between.
TEST(fault, queuing_outside_the_lock_is_found) {
  const outcome o = explore([] {
    detail::reset_threads();
    struct shared {
      detail::spin_lock lock;
      plain<int> full{0};
      plain<detail::g*> waiting{nullptr};
    };
    auto s = std::make_shared<shared>();
    return scenario{{[s] {
                       s->lock.lock();
                       s->full.set(1);
                       detail::g* receiver = s->waiting.get();
                       s->lock.unlock();
                       if (receiver != nullptr) detail::ready(receiver);
                     },
                     [s] {
                       s->lock.lock();
                       const bool full = s->full.get() != 0;
                       s->lock.unlock();
                       if (full) return;
                       s->lock.lock();
                       s->waiting.set(detail::current_g());
                       s->lock.unlock();
                       detail::park(detail::wait_reason::chan_receive);
                     }}};
  });
  EXPECT_TRUE(o.failed);
  EXPECT_NE(o.report.find("deadlock"), std::string::npos) << o.report;
}

}  // namespace
}  // namespace gort::model
