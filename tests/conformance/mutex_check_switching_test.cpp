// The deadlock check, switched by two at once: it is on or off as a whole. One is stopped at each
// instruction by the processor's trap flag, and the other does all of it there.
#include <signal.h>

#include <gtest/gtest.h>

#include <gort/debug.hpp>
#include <gort/detail/mutex_owner.hpp>
#include <gort/go.hpp>

#include "support/single_step.hpp"
#include "support/skip.hpp"

namespace gort {
namespace {

// What a mutex that is taken now would note, and what the report would make of it.
bool notes_its_holder() {
  detail::mutex_owner of;
  if (detail::mutex_owner::is_noted()) of.note_self();
  return of.get() != 0;
}

int gone_on = 0;  // how often, less how often off

void switch_to(bool on) {
  if (debug::set_deadlock_check(on) != on) gone_on += on ? 1 : -1;
}

long stop_at = -1, steps = 0;
bool others_choice = false;

void on_step(int) {
  if (steps++ == stop_at) switch_to(others_choice);
}

[[gnu::noinline]] void step_through(bool on) {
  steps = 0;
  test::set_trap_flag();
  const bool before = debug::set_deadlock_check(on);
  test::clear_trap_flag();
  if (before != on) gone_on += on ? 1 : -1;
}

TEST(mutex_check, is_on_or_off_whoever_switches_it) {
  if (!test::can_single_step) GORT_SKIP("no trap flag");
  run([] {
    struct sigaction action = {}, before;
    action.sa_handler = on_step;
    sigaction(SIGTRAP, &action, &before);
    for (const bool was : {false, true}) {
      for (const bool own : {false, true}) {
        for (const bool others : {false, true}) {
          others_choice = others;
          stop_at = 0;
          do {
            debug::set_deadlock_check(was);
            gone_on = was ? 1 : 0;
            step_through(own);
            ASSERT_TRUE(gone_on == 0 || gone_on == 1);
            EXPECT_TRUE(gone_on == (own ? 1 : 0) || gone_on == (others ? 1 : 0));
            EXPECT_EQ(detail::mutex_owner::is_noted(), gone_on == 1) << stop_at;
            EXPECT_EQ(notes_its_holder(), gone_on == 1) << stop_at;
          } while (++stop_at < steps);
          EXPECT_GT(steps, 5);
        }
      }
    }
    sigaction(SIGTRAP, &before, nullptr);
    debug::set_deadlock_check(false);
  });
}

TEST(mutex_check, what_was_noted_before_does_not_count) {
  run([] {
    debug::set_deadlock_check(true);
    detail::mutex_owner of;
    of.note_self();
    EXPECT_NE(of.get(), 0u);
    debug::set_deadlock_check(true);  // it is on already: nothing changes
    EXPECT_NE(of.get(), 0u);
    debug::set_deadlock_check(false);
    EXPECT_EQ(of.get(), 0u);
    of.note_self();  // by who has looked a moment before
    EXPECT_EQ(of.get(), 0u);
    debug::set_deadlock_check(true);
    EXPECT_EQ(of.get(), 0u);
    debug::set_deadlock_check(false);
  });
}

}  // namespace
}  // namespace gort
