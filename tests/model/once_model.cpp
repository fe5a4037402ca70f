// once, with its real slow paths, and destroyed by who finds it done while the one that ran the
// function is still on its way out.
#include <memory>

#include <gtest/gtest.h>

#include "model/engine.hpp"
#include "model/expect.hpp"
#include "model/small_scheduler.hpp"
#include "sync/once.cpp"

namespace gort::detail {

void ready_tail(g* target) noexcept { ready(target); }

}  // namespace gort::detail

namespace gort::model {
namespace {

struct shared {
  once first;
  plain<int> made{0};
  int left = 0;
};

// All call it; `destroys`: the second does not wait for the others' calls to return, only for what
// they do.
outcome explore_once(int callers, bool destroys) {
  return explore([=] {
    detail::reset_threads();
    auto s = std::make_shared<shared>();
    scenario made;
    for (int i = 0; i < callers; ++i) {
      made.threads.push_back([=] {
        bool mine = false;
        s->first.call([&] {
          s->made.set(s->made.get() + 1);
          mine = true;
        });
        check(s->made.get() == 1, "not called, or not once");
        if (destroys && !mine) destroyed(&s->first, sizeof(s->first));
      });
    }
    made.at_end = [s] { check(s->made.get() == 1, "not called, or not once"); };
    return made;
  });
}

TEST(once, two_callers) { expect_right(explore_once(2, false)); }
TEST(once, may_be_destroyed_by_who_finds_it_done) { expect_right(explore_once(2, true)); }

}  // namespace
}  // namespace gort::model
