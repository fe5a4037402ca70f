// The wait group, with its real slow paths: one done() too many, and an add() of too much, beside
// user of it, and destroyed by who has waited while the last done() is still on its way out.
#include <memory>

#include <gtest/gtest.h>

#include <gort/wait_group.hpp>

#include "model/engine.hpp"
#include "model/expect.hpp"
#include "model/small_scheduler.hpp"
#include "sync/wait_group.cpp"

namespace gort::detail {

void ready_tail(g* target) noexcept { ready(target); }
[[noreturn]] void throw_runtime_error(const char* text) { throw runtime_error(text); }

}  // namespace gort::detail

namespace gort::model {
namespace {

struct shared {
  wait_group group;
  plain<int> work{0};
};

void misuse(shared& s) {
  try {
    s.group.done();
  } catch (const runtime_error&) {
  }
}

TEST(wait_group, who_has_waited_may_destroy_it) {
  expect_right(explore([] {
    detail::reset_threads();
    auto s = std::make_shared<shared>();
    s->group.add(1);
    scenario made;
    made.threads.push_back([s] {
      s->work.set(1);
      s->group.done();
    });
    made.threads.push_back([s] {
      s->group.wait();
      check(s->work.get() == 1, "has not waited");
      destroyed(&s->group, sizeof(s->group));
    });
    return made;
  }));
}

// Nothing is counted: it throws, whatever the others do, and nobody waits for ever.
TEST(wait_group, misuse_loses_no_waiter) {
  expect_right(explore([] {
    detail::reset_threads();
    auto s = std::make_shared<shared>();
    scenario made;
    made.threads.push_back([s] { misuse(*s); });
    made.threads.push_back([s] { s->group.wait(); });
    return made;
  }));
}

// It may take the place of another's done(), which throws then; but what is counted at the end is
// right, and who waits is woken.
TEST(wait_group, misuse_beside_work) {
  expect_right(explore([] {
    detail::reset_threads();
    auto s = std::make_shared<shared>();
    scenario made;
    made.threads.push_back([s] { misuse(*s); });
    made.threads.push_back([s] {
      s->group.add(2);
      misuse(*s);
      misuse(*s);
    });
    made.threads.push_back([s] { s->group.wait(); });
    made.at_end = [s] {
      s->group.wait();  // nothing is left to wait for
      s->group.add(1);
      s->group.done();
    };
    return made;
  }));
}

// Neither is anything when it would be too much: others count on, and no count is lost.
TEST(wait_group, too_much_beside_work) {
  expect_right(explore([] {
    constexpr std::int32_t most = 0x7fffffff;
    detail::reset_threads();
    auto s = std::make_shared<shared>();
    s->group.add(most - 1);
    scenario made;
    for (int i = 0; i < 2; ++i) {
      made.threads.push_back([s] {
        bool thrown = false;
        try {
          s->group.add(2);
        } catch (const runtime_error&) {
          thrown = true;
        }
        check(thrown, "counts beyond its bound");
      });
    }
    made.threads.push_back([s] {
      s->group.add(1);
      s->group.done();
    });
    made.at_end = [s] {
      s->group.add(1);  // throws if anything was counted that should not be
      s->group.add(-most);
      s->group.wait();
    };
    return made;
  }));
}

}  // namespace
}  // namespace gort::model
