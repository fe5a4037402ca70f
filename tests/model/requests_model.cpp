// How a cycle is asked for: those who are beyond the trigger, one who waits for a cycle, and the
// collector, by the protocol of src/gc/requests.hpp. What a cycle does is left out; `plain` stands
// for what the collector has set when it allows the next one to be asked for.
#include <cstdio>
#include <cstdlib>
#include <memory>

#include <gtest/gtest.h>

#include "gc/requests.hpp"
#include "model/engine.hpp"
#include "model/expect.hpp"
#include "model/shim_atomic.hpp"

namespace gort::model {
namespace {

enum class fault {
  none,
  number_before_phase,  // [pace-3]: which cycle has begun is looked at too early
  stands_still,         // [pace-3]: who was the first wants nothing, for now
  bell_noted_late,      // [cycle-3]
  wakes_nobody,         // [cycle-4]
  phase_says_nothing    // [pace-4]: none, without saying what the lines are
};

struct heap {
  managed::cycle_requests asked;
  plain<int> lines[4];  // as set by each cycle
  // The explorer's own: one thread moves at a time.
  int begun = 0;
  int set = 0;
  int left = 0;  // of those who ask or wait

  void wake() noexcept { futex_wake(asked.bell); }
  void is_through() noexcept {
    if (--left == 0) wake();
  }
};

void collect(heap& all, fault with) {
  for (;;) {
    std::uint32_t seen = all.asked.note_bell();
    if (all.asked.begin_if_wanted([&](std::uint32_t) { ++all.begun; })) {
      (void)all.asked.is_first_to_ask();
      all.asked.phase.store_relaxed(managed::cycle_phase::ending);
      all.lines[all.set++].set(1);
      if (with == fault::phase_says_nothing)
        all.asked.phase.store_relaxed(managed::cycle_phase::none);
      else
        all.asked.lines_are_set();
      all.asked.end();
      continue;
    }
    if (with == fault::bell_noted_late) seen = all.asked.note_bell();
    const std::uint32_t* bell = all.asked.bell.address();
    futex_wait_on(bell, [&all, bell, seen] { return *bell == seen && all.left != 0; });
    if (*bell == seen && all.left == 0) return;
  }
}

void allocate(heap& all, fault with) {
  const auto wake = [&all] { all.wake(); };
  if (with == fault::number_before_phase) {
    const std::uint32_t number = all.asked.begun.load_relaxed() + 1;
    if (all.asked.is_first_to_ask()) all.asked.want(number, wake);
  } else {
    all.asked.ask_if_first(
        [&] {
          if (!all.asked.is_first_to_ask()) return false;
          if (all.set != 0) (void)all.lines[all.set - 1].get();  // which it was beyond
          return with != fault::stands_still;
        },
        wake);
  }
  all.is_through();
}

void wait_for_one(heap& all, bool wakes) {
  std::uint32_t number;
  int before;
  {
    const detail::spin_guard guard(all.asked.lock);
    number = all.asked.begun.load_relaxed() + 1;
    before = all.begun;
  }
  all.asked.want(number, [&all, wakes] {
    if (wakes) all.wake();
  });
  if (wakes) {
    wait_until(all.asked.done.address(), [&all, number] {
      return static_cast<std::int32_t>(*all.asked.done.address() - number) >= 0;
    });
    check(all.begun > before, "it has begun before");
    all.is_through();
  } else {
    --all.left;  // it stands still, and has rung
  }
}

// `due`: a cycle is wanted already.
scenario ask(fault with, bool due, int allocating, int waiting, int standing = 0) {
  auto all = std::make_shared<heap>();
  if (due) *all->asked.wanted.address() = 1;
  all->left = allocating + waiting + standing;
  scenario out;
  out.threads.push_back([all, with] { collect(*all, with); });
  for (int i = 0; i < allocating; ++i) out.threads.push_back([all, with] { allocate(*all, with); });
  for (int i = 0; i < waiting; ++i) out.threads.push_back([all] { wait_for_one(*all, true); });
  for (int i = 0; i < standing; ++i) out.threads.push_back([all] { wait_for_one(*all, false); });
  out.at_end = [all] {
    check(*all->asked.phase.address() == managed::cycle_phase::none, "asked for, and not done");
    check(*all->asked.begun.address() == *all->asked.done.address(), "begun, and not done");
  };
  return out;
}

// `make model` goes through all schedules of these, other runs through a part.
void expect_right_as_far_as_seen(int allocating, int waiting) {
  limits bounds;
  if (std::getenv("GORT_MODEL_ALL") == nullptr) bounds.executions_max = 2'000;
  const outcome o = explore([=] { return ask(fault::none, false, allocating, waiting); }, bounds);
  EXPECT_FALSE(o.failed) << o.report;
  std::printf("%ld executions%s\n", o.executions, o.complete ? "" : ", not all");
}

bool is_found(fault with, bool due, int allocating, int waiting = 0, int standing = 0) {
  return explore([=] { return ask(with, due, allocating, waiting, standing); }).failed;
}

TEST(requests, who_is_beyond_the_trigger_gets_a_cycle) {
  for (bool due : {false, true})
    expect_right(explore([due] { return ask(fault::none, due, 1, 0); }));
  expect_right_as_far_as_seen(2, 0);
}

TEST(requests, who_waits_gets_one_that_begins_later) {
  expect_right(explore([] { return ask(fault::none, false, 0, 1); }));
  expect_right_as_far_as_seen(0, 2);
}

TEST(requests, both_at_a_time) { expect_right_as_far_as_seen(1, 1); }

TEST(fault, a_number_looked_at_too_early_is_found) {
  EXPECT_TRUE(is_found(fault::number_before_phase, true, 1));
}

TEST(fault, one_that_asks_and_stands_still_is_found) {
  EXPECT_TRUE(is_found(fault::stands_still, false, 1));
}

TEST(fault, a_bell_that_is_noted_late_is_found) {
  EXPECT_TRUE(is_found(fault::bell_noted_late, false, 1));
}

TEST(fault, one_that_rings_and_stands_still_is_found) {
  EXPECT_TRUE(is_found(fault::wakes_nobody, false, 0, 1, 1));
}

TEST(fault, lines_that_are_not_told_of_are_found) {
  EXPECT_TRUE(is_found(fault::phase_says_nothing, true, 1));
}

}  // namespace
}  // namespace gort::model
