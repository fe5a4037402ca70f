// The explorer against protocols that are known to be right or wrong: a checker that finds nothing
// proves nothing.
#include <memory>

#include <gtest/gtest.h>

#include <gort/detail/atomic.hpp>
#include <gort/detail/spin_lock.hpp>

#include "model/engine.hpp"

namespace gort::model {
namespace {

using detail::atomic;

TEST(explorer, counts_the_orders_of_dependent_accesses) {
  // Two threads, two writes each to one address: 4! / (2! * 2!) orders.
  const outcome o = explore([] {
    auto word = std::make_shared<atomic<int>>();
    auto body = [word] {
      word->store_relaxed(1);
      word->store_relaxed(2);
    };
    return scenario{{body, body}};
  });
  EXPECT_TRUE(o.complete);
  EXPECT_FALSE(o.failed) << o.report;
  EXPECT_EQ(o.executions, 6);
}

TEST(explorer, independent_accesses_are_run_in_one_order) {
  const outcome o = explore([] {
    auto a = std::make_shared<atomic<int>>();
    auto b = std::make_shared<atomic<int>>();
    return scenario{{[a] { a->store_relaxed(1), a->store_relaxed(2); },
                     [b] { b->store_relaxed(1), b->store_relaxed(2); }}};
  });
  EXPECT_TRUE(o.complete);
  EXPECT_EQ(o.executions, 1);
}

TEST(explorer, finds_a_lost_update) {
  const outcome o = explore([] {
    auto n = std::make_shared<atomic<int>>();
    auto body = [n] { n->store_relaxed(n->load_relaxed() + 1); };
    return scenario{{body, body}, [n] { check(n->load_relaxed() == 2, "an update was lost"); }};
  });
  EXPECT_TRUE(o.failed);
  EXPECT_NE(o.report.find("an update was lost"), std::string::npos);
}

TEST(explorer, finds_an_access_to_what_is_destroyed) {
  const auto unlock = [](bool looks_again) {
    return explore([looks_again] {
      auto word = std::make_shared<atomic<int>>(1);
      return scenario{{[word, looks_again] {
                         word->exchange_release(0);
                         if (looks_again) static_cast<void>(word->load_relaxed());
                       },
                       [word] {
                         if (word->exchange_acquire(1) == 0) destroyed(word.get(), sizeof(*word));
                       }}};
    });
  };
  EXPECT_FALSE(unlock(false).failed);
  const outcome o = unlock(true);
  EXPECT_TRUE(o.failed);
  EXPECT_NE(o.report.find("has been destroyed"), std::string::npos);
}

outcome pass_message(bool release) {
  return explore([release] {
    struct shared {
      atomic<int> flag;
      plain<int> data;
    };
    auto s = std::make_shared<shared>();
    return scenario{{[s, release] {
                       s->data.set(42);
                       if (release)
                         s->flag.store_release(1);
                       else
                         s->flag.store_relaxed(1);
                     },
                     [s] {
                       if (s->flag.load_acquire() == 1) check(s->data.get() == 42, "wrong data");
                     }}};
  });
}

TEST(explorer, a_publication_needs_release) {
  const outcome right = pass_message(true);
  EXPECT_TRUE(right.complete);
  EXPECT_FALSE(right.failed) << right.report;
  const outcome wrong = pass_message(false);
  EXPECT_TRUE(wrong.failed);
  EXPECT_NE(wrong.report.find("data race"), std::string::npos) << wrong.report;
}

TEST(explorer, finds_a_deadlock_of_two_locks) {
  const outcome o = explore([] {
    struct shared {
      detail::spin_lock a;
      detail::spin_lock b;
    };
    auto s = std::make_shared<shared>();
    return scenario{{[s] { s->a.lock(), s->b.lock(), s->b.unlock(), s->a.unlock(); },
                     [s] { s->b.lock(), s->a.lock(), s->a.unlock(), s->b.unlock(); }}};
  });
  EXPECT_TRUE(o.failed);
}

TEST(explorer, the_spin_lock_orders_what_it_guards) {
  const outcome o = explore([] {
    struct shared {
      detail::spin_lock lock;
      plain<int> n;
    };
    auto s = std::make_shared<shared>();
    auto body = [s] {
      s->lock.lock();
      s->n.set(s->n.get() + 1);
      s->lock.unlock();
    };
    return scenario{{body, body, body}, [s] { check(s->n.get() == 3, "lost"); }};
  });
  EXPECT_TRUE(o.complete);
  EXPECT_FALSE(o.failed) << o.report;
}

TEST(explorer, finds_a_lost_wake_up) {
  // The sleeper looks first and sleeps then, without telling the waker in between.
  const outcome o = explore([] {
    struct shared {
      atomic<std::uint32_t> flag;
      atomic<std::uint32_t> bed;
    };
    auto s = std::make_shared<shared>();
    return scenario{{[s] {
                       if (s->flag.load_acquire() == 0) futex_wait(s->bed, 0u);
                     },
                     [s] {
                       s->flag.store_release(1);
                       futex_wake(s->bed);
                     }}};
  });
  EXPECT_TRUE(o.failed);
  EXPECT_NE(o.report.find("deadlock"), std::string::npos) << o.report;
}

}  // namespace
}  // namespace gort::model
