// The readers-writer lock, with its real slow paths, and destroyed by the last to leave while those
// before may still be on their way out.
#include <memory>
#include <string_view>

#include <gtest/gtest.h>

#include "model/engine.hpp"
#include "model/expect.hpp"
#include "model/small_scheduler.hpp"
#include "sync/rw_mutex.cpp"

namespace gort::detail {

void ready_tail(g* target) noexcept { ready(target); }
[[noreturn]] void throw_runtime_error(const char* text) { throw runtime_error(text); }

}  // namespace gort::detail

namespace gort::model {
namespace {

struct shared {
  rw_mutex lock;
  plain<int> guarded{0};
  // What follows is not shared for the explorer: one thread moves at a time.
  int readers_inside = 0;
  int writers_inside = 0;
  int writers_ever = 0;
  unsigned writers = 0;  // the writers' bits
  unsigned everybody = 0;
  unsigned leaving = 0;     // who is about to give it up, or has
  unsigned surely_out = 0;  // as far as one who is inside can know
};

// With the lock: gives it up again, and destroys it if no other can come or be inside.
void leave(shared& s, bool writes, unsigned me) {
  check(s.writers_inside == (writes ? 1 : 0) && (!writes || s.readers_inside == 0), "not alone");
  if (writes)
    s.guarded.set(s.guarded.get() + 1);
  else
    check(s.guarded.get() == s.writers_ever, "a writer's work is not seen");
  s.surely_out |= writes ? s.leaving : s.leaving & s.writers;
  const bool last = (s.surely_out | me) == s.everybody;
  s.leaving |= me;
  --(writes ? s.writers_inside : s.readers_inside);
  s.writers_ever += writes;
  if (writes)
    s.lock.unlock();
  else
    s.lock.unlock_shared();
  if (last) destroyed(&s.lock, sizeof(s.lock));
}

void come(shared& s, char what) {
  switch (what) {
    case 'r':
      s.lock.lock_shared();
      ++s.readers_inside;
      break;
    case 'w':
      s.lock.lock();
      ++s.writers_inside;
      break;
    case 'R':  // inside from the beginning
      break;
    default: check(false, "nobody of that kind");
  }
}

// One thread a letter: r comes to read, w to write, R reads from the beginning.
outcome explore_visits(std::string_view who) {
  return explore([who] {
    detail::reset_threads();
    auto s = std::make_shared<shared>();
    scenario made;
    for (std::size_t i = 0; i < who.size(); ++i) {
      const unsigned me = 1u << i;
      const bool writes = who[i] == 'w';
      s->everybody |= me;
      if (writes) s->writers |= me;
      if (who[i] == 'R') {
        s->lock.lock_shared();
        ++s->readers_inside;
      }
      made.threads.push_back([s, me, writes, kind = who[i]] {
        come(*s, kind);
        leave(*s, writes, me);
      });
    }
    made.at_end = [s] {
      check(s->lock.try_lock(), "somebody has left it locked");
      check(s->guarded.get() == s->writers_ever, "a writer's work is lost");
    };
    return made;
  });
}

TEST(rw_mutex, two_writers) { expect_right(explore_visits("ww")); }
TEST(rw_mutex, reader_and_writer) { expect_right(explore_visits("rw")); }
TEST(rw_mutex, a_reader_leaves_as_a_writer_and_a_reader_come) {
  expect_right(explore_visits("Rwr"));
}
TEST(rw_mutex, two_readers_leave_as_a_writer_comes) { expect_right(explore_visits("RRw")); }

// Unlocks what it has not locked, while another comes and goes.
outcome explore_misuse(bool shared_misuse, bool shared_visit) {
  return explore([=] {
    detail::reset_threads();
    auto s = std::make_shared<shared>();
    scenario made;
    made.threads.push_back([=] {
      try {
        if (shared_misuse)
          s->lock.unlock_shared();
        else
          s->lock.unlock();
      } catch (const runtime_error&) {
      }
    });
    made.threads.push_back([=] {
      for (int i = 0; i < 2; ++i) {
        try {
          if (shared_visit) {
            s->lock.lock_shared();
            s->lock.unlock_shared();
          } else {
            s->lock.lock();
            s->lock.unlock();
          }
        } catch (const runtime_error&) {  // the other has given up our place
        }
      }
    });
    made.at_end = [s] { check(s->lock.try_lock(), "somebody has left it locked"); };
    return made;
  });
}

TEST(rw_mutex, misuse_loses_nobody) {
  for (const bool a : {false, true})
    for (const bool b : {false, true}) expect_right(explore_misuse(a, b));
}

}  // namespace
}  // namespace gort::model
