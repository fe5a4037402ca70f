// The run queue and the nursery with room for two or four entries: whatever the owner and a thief
// do, each entry is obtained exactly once, with what its maker wrote.
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "model/engine.hpp"
#include "model/expect.hpp"
#include "model/shim_atomic.hpp"
#include "sched/parts/nursery.hpp"
#include "sched/parts/runq.hpp"

namespace gort::model {
namespace {

constexpr std::uintptr_t items_max = 8;

// Entries are numbers from 1; each stands for plain data written before it is pushed.
struct ledger {
  plain<int> made[items_max];
  int obtained[items_max] = {};
  void make(std::uintptr_t item) { made[item].set(static_cast<int>(item)); }
  void take(std::uintptr_t item) {
    if (item == 0) return;
    check(item < items_max, "an entry that nobody made");
    check(made[item].get() == static_cast<int>(item), "an entry without its data");
    ++obtained[item];
  }
  void expect_once(std::uintptr_t last) const {
    for (std::uintptr_t i = 1; i <= last; ++i) {
      check(obtained[i] < 2, "an entry was obtained twice");
      check(obtained[i] > 0, "an entry was lost");
    }
  }
};

template <class Queue>
struct state {
  Queue owner;
  Queue thief;
  Queue second_thief;
  ledger items;
};

template <class Queue>
void drain(Queue& q, ledger& items) {
  if constexpr (requires { q.pop(); }) {
    for (std::uintptr_t r; (r = q.pop()) != 0;) items.take(r);
    items.take(q.take_next());
  } else {
    for (std::uintptr_t r; (r = q.pop_newest()) != 0;) items.take(r);
  }
}

// Pushes, moving half elsewhere (here: consuming it) when there is no room.
template <class Queue>
void push(Queue& q, ledger& items, std::uintptr_t item) {
  items.make(item);
  while (!q.push(item)) {
    std::uintptr_t half[Queue::capacity];
    const std::uint32_t n = q.take_half(half);
    for (std::uint32_t i = 0; i < n; ++i) items.take(half[i]);
  }
}

using ring = sched::basic_runq<std::uintptr_t, 2>;
using wide_ring = sched::basic_runq<std::uintptr_t, 4>;
using nursery = sched::basic_nursery<std::uintptr_t, 2>;
using wide_nursery = sched::basic_nursery<std::uintptr_t, 4>;

template <class Queue>
outcome owner_against_one_thief(std::uintptr_t pushes) {
  return explore([pushes] {
    auto s = std::make_shared<state<Queue>>();
    return scenario{{[s, pushes] {
                       for (std::uintptr_t i = 1; i <= pushes; ++i) push(s->owner, s->items, i);
                       drain(s->owner, s->items);
                     },
                     [s] {
                       s->items.take(s->owner.steal_into(s->thief));
                       drain(s->thief, s->items);
                     }},
                    [s, pushes] { s->items.expect_once(pushes); }};
  });
}

TEST(runq, owner_against_a_thief) { expect_right(owner_against_one_thief<wide_ring>(3)); }
TEST(runq, overflow_against_a_thief) { expect_right(owner_against_one_thief<ring>(3)); }
TEST(nursery, owner_against_a_thief) { expect_right(owner_against_one_thief<wide_nursery>(3)); }
TEST(nursery, overflow_against_a_thief) { expect_right(owner_against_one_thief<nursery>(3)); }

template <class Queue>
outcome two_thieves() {
  return explore([] {
    auto s = std::make_shared<state<Queue>>();
    for (std::uintptr_t i = 1; i <= 2; ++i) {
      s->items.make(i);
      s->owner.push(i);
    }
    return scenario{{[s] { drain(s->owner, s->items); },
                     [s] {
                       s->items.take(s->owner.steal_into(s->thief));
                       drain(s->thief, s->items);
                     },
                     [s] {
                       s->items.take(s->owner.steal_into(s->second_thief));
                       drain(s->second_thief, s->items);
                     }},
                    [s] { s->items.expect_once(2); }};
  });
}

TEST(runq, owner_against_two_thieves) { expect_right(two_thieves<wide_ring>()); }
TEST(nursery, owner_against_two_thieves) { expect_right(two_thieves<wide_nursery>()); }

TEST(nursery, the_oldest_goes_to_the_owner_or_to_a_thief) {
  expect_right(explore([] {
    auto s = std::make_shared<state<wide_nursery>>();
    return scenario{{[s] {
                       push(s->owner, s->items, 1);
                       s->items.take(s->owner.pop_oldest());  // the only one, which may be stolen
                       push(s->owner, s->items, 2);
                       push(s->owner, s->items, 3);
                       s->items.take(s->owner.pop_oldest());
                       drain(s->owner, s->items);
                     },
                     [s] {
                       s->items.take(s->owner.steal_into(s->thief));
                       drain(s->thief, s->items);
                     }},
                    [s] { s->items.expect_once(3); }};
  }));
}

TEST(runq, the_next_slot_is_handed_to_one_party) {
  expect_right(explore([] {
    auto s = std::make_shared<state<ring>>();
    return scenario{{[s] {
                       s->items.make(1);
                       s->items.take(s->owner.set_next(1));
                       s->items.make(2);
                       s->items.take(s->owner.set_next(2));
                       s->items.take(s->owner.take_next());
                     },
                     [s] { s->items.take(s->owner.steal_next()); }},
                    [s] { s->items.expect_once(2); }};
  }));
}

// --- the models bite: the same with a fault each

// Publishes the entry without release.
template <class T>
struct careless_ring {
  detail::atomic<std::uint32_t> tail;
  detail::atomic<T> entry;
  void push(T item) {
    entry.store_relaxed(item);
    tail.store_relaxed(1);
  }
  T steal() { return tail.load_acquire() == 1 ? entry.load_relaxed() : T{}; }
};

TEST(fault, a_relaxed_publication_is_found) {
  const outcome o = explore([] {
    struct shared {
      careless_ring<std::uintptr_t> ring;
      ledger items;
    };
    auto s = std::make_shared<shared>();
    return scenario{{[s] {
                       s->items.make(1);
                       s->ring.push(1);
                     },
                     [s] { s->items.take(s->ring.steal()); }}};
  });
  EXPECT_TRUE(o.failed);
  EXPECT_NE(o.report.find("data race"), std::string::npos) << o.report;
}

TEST(fault, a_second_owner_is_found) {
  // Two threads pop as owners of the newest end, against [nursery-1]... of a thief that pushes.
  const outcome o = explore([] {
    auto s = std::make_shared<state<wide_nursery>>();
    auto owner = [s](std::uintptr_t item) {
      s->items.make(item);
      s->owner.push(item);
      s->items.take(s->owner.pop_newest());
    };
    return scenario{{[owner] { owner(1); }, [owner] { owner(2); }},
                    [s] { s->items.expect_once(2); }};
  });
  EXPECT_TRUE(o.failed) << "two pushers are against the rules and must show";
}

}  // namespace
}  // namespace gort::model
