// The mutex, with its real slow paths. Time runs so fast that every waiter starves after its first
// disappointment, so both modes and the ways between them are explored.
#include <memory>

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
[[noreturn]] void throw_runtime_error(const char* text) {
  model::check(false, text);
  throw runtime_error(text);
}
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
};

void enter(shared& s) {
  s.lock.lock();
  s.guarded.set(s.guarded.get() + 1);  // a race if it does not exclude
  s.lock.unlock();
}

// Each thread enters so many times.
outcome explore_mutex(std::vector<int> times) {
  return explore([times] {
    detail::reset_threads();
    auto s = std::make_shared<shared>();
    scenario made;
    int sum = 0;
    for (const int n : times) {
      sum += n;
      made.threads.push_back([s, n] {
        for (int i = 0; i < n; ++i) enter(*s);
      });
    }
    made.at_end = [s, sum] {
      check(s->guarded.get() == sum, "an entry was lost");
      check(s->lock.try_lock(), "somebody has left it locked");
    };
    return made;
  });
}

TEST(mutex, two_goroutines) { expect_right(explore_mutex({2, 2})); }

}  // namespace
}  // namespace gort::model
