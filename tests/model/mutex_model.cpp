// The mutex, with its real slow paths. Time runs so fast that every waiter starves after its first
// disappointment, so both modes and the ways between them are explored; and the last to leave
// destroys it, while those before may still be on their way out.
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "model/engine.hpp"
#include "model/expect.hpp"
#include "model/small_scheduler.hpp"
#include "sync/mutex.cpp"

namespace gort::detail {

std::int64_t now_ns() noexcept {
  static std::int64_t now = 0;
  return now += 1'000'000;
}
bool worth_spinning() noexcept { return false; }
void spin_pause(unsigned) noexcept {}
[[noreturn]] void throw_runtime_error(const char* text) { throw runtime_error(text); }
// Waits with a deadline are not part of it.
bool is_goroutine(const g&) noexcept { return true; }
bool park_thread_until(std::int64_t, wait_reason) noexcept { return true; }
void timer_start(timer_node&, std::int64_t, std::int64_t) noexcept {}
bool timer_stop(timer_node&) noexcept { return true; }

}  // namespace gort::detail

namespace gort::model {
namespace {

struct shared {
  mutex lock;
  plain<int> guarded{0};
  int users_left = 0;  // not shared for the explorer: one thread moves at a time
  int entries = 0;
};

// Leaves the mutex, which the caller holds. Who comes last destroys it.
void leave(shared& s) {
  s.guarded.set(s.guarded.get() + 1);  // a race if it does not exclude
  ++s.entries;
  const bool last = --s.users_left == 0;
  s.lock.unlock();
  if (last) destroyed(&s.lock, sizeof(s.lock));
}

void check_at_end(shared& s) {
  check(s.guarded.get() == s.entries, "an entry was lost");
  check(s.lock.try_lock(), "somebody has left it locked");
}

// Each thread enters so many times.
outcome explore_mutex(std::vector<int> times) {
  return explore([times] {
    detail::reset_threads();
    auto s = std::make_shared<shared>();
    scenario made;
    for (const int n : times) {
      s->users_left += n;
      made.threads.push_back([s, n] {
        for (int i = 0; i < n; ++i) {
          s->lock.lock();
          leave(*s);
        }
      });
    }
    made.at_end = [s] { check_at_end(*s); };
    return made;
  });
}

TEST(mutex, two_goroutines) { expect_right(explore_mutex({2, 2})); }

// One leaves, one comes and may have to wait, one takes the mutex only if it is free.
outcome explore_leaving() {
  return explore([] {
    detail::reset_threads();
    auto s = std::make_shared<shared>();
    s->users_left = 3;
    s->lock.lock();
    scenario made;
    made.threads.push_back([s] { leave(*s); });
    made.threads.push_back([s] {
      s->lock.lock();
      leave(*s);
    });
    made.threads.push_back([s] {
      if (s->lock.try_lock())
        leave(*s);
      else
        --s->users_left;  // if it comes to nothing by this, nobody destroys
    });
    made.at_end = [s] { check_at_end(*s); };
    return made;
  });
}

TEST(mutex, may_be_destroyed_while_one_is_still_leaving) { expect_right(explore_leaving()); }

// One thread unlocks what nobody has locked, others lock meanwhile. (If it unlocks what another has
// locked, that is no misuse that a mutex can see: it is not tied to who locked it.)
outcome explore_misuse() {
  return explore([] {
    detail::reset_threads();
    auto s = std::make_shared<shared>();
    scenario made;
    made.threads.push_back([s] {
      try {
        s->lock.unlock();
      } catch (const runtime_error&) {
      }
    });
    made.threads.push_back([s] {
      for (int i = 0; i < 2; ++i) {
        s->lock.lock();
        try {
          s->lock.unlock();
        } catch (const runtime_error&) {
        }
      }
    });
    made.at_end = [s] { check(s->lock.try_lock(), "somebody has left it locked"); };
    return made;
  });
}

TEST(mutex, misuse_loses_nobody) { expect_right(explore_misuse()); }

// While owners are noted each holder leaves a debt.
class mutex_with_notes : public testing::Test {
 protected:
  void SetUp() override { detail::model_free_state = detail::no_mutex_state; }
  void TearDown() override { detail::model_free_state = 0; }
};

TEST_F(mutex_with_notes, two_goroutines) { expect_right(explore_mutex({1, 1})); }
TEST_F(mutex_with_notes, may_be_destroyed) { expect_right(explore_leaving()); }
TEST_F(mutex_with_notes, misuse_loses_nobody) { expect_right(explore_misuse()); }

}  // namespace
}  // namespace gort::model
