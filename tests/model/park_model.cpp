// Parking: the note between two threads; and the switch, where a goroutine is readied, and picked
// by another M, before its own M has finished leaving it.
#include <memory>

#include <gtest/gtest.h>

#include <gort/detail/spin_lock.hpp>

#include "model/engine.hpp"
#include "model/expect.hpp"
#include "model/shim_atomic.hpp"
#include "sched/parts/note.hpp"

namespace gort::model {
namespace {

TEST(note, each_wake_ends_one_sleep_and_passes_data) {
  expect_right(explore([] {
    struct shared {
      sched::note there;
      sched::note back;
      plain<int> data;
    };
    auto s = std::make_shared<shared>();
    return scenario{{[s] {
                       for (int i = 1; i <= 2; ++i) {
                         s->data.set(i);
                         s->there.wake();
                         s->back.sleep();
                       }
                     },
                     [s] {
                       for (int i = 1; i <= 2; ++i) {
                         s->there.sleep();
                         check(s->data.get() == i, "the wrong round");
                         s->back.wake();
                       }
                     }}};
  }));
}

// The hand-over of src/sched/switching/schedule.cpp in small: `context` stands for the saved
// registers, which are plain data; on_cpu says that they are complete [g-2].
struct goroutine {
  detail::atomic<std::uint32_t> on_cpu{1};
  detail::atomic<std::uint32_t> readied;  // in a run queue
  plain<int> context{0};
};

template <bool ReleaseLast>
scenario early_ready() {
  auto g = std::make_shared<goroutine>();
  return scenario{{// Its M: has published the waiter already; saves the context, then says so.
                   [g] {
                     if (!ReleaseLast) g->on_cpu.store_release(0);
                     g->context.set(7);
                     if (ReleaseLast) g->on_cpu.store_release(0);
                   },
                   // The waker.
                   [g] { g->readied.store_release(1); },
                   // The M that picks it.
                   [g] {
                     wait_until(g->readied.address(), [&] { return *g->readied.address() == 1; });
                     check(g->readied.load_acquire() == 1, "picked from nowhere");
                     wait_until(g->on_cpu.address(), [&] { return *g->on_cpu.address() == 0; });
                     check(g->on_cpu.load_acquire() == 0, "still on a processor");
                     check(g->context.get() == 7, "half a context");
                     g->on_cpu.store_relaxed(1);
                   }}};
}

TEST(park, a_goroutine_readied_early_is_run_from_a_complete_context) {
  expect_right(explore(early_ready<true>));
}

TEST(fault, giving_it_free_before_it_is_saved_is_found) {
  EXPECT_TRUE(explore(early_ready<false>).failed);
}

// [idle-1]: submitting to the global queue against a spinner that ends its search. `global` is
// guarded by the lock in reality; here it is atomic, which allows more.
template <bool LookAgain>
scenario submit_against_idle() {
  struct shared {
    detail::spin_lock lock;
    plain<int> queue{0};
    detail::atomic<std::uint32_t> size;
    detail::atomic<std::uint32_t> spinning{1};
    detail::atomic<std::uint32_t> idle{0};
    sched::note bed;
    int ran = 0;
  };
  auto s = std::make_shared<shared>();
  auto wake_if_idle = [s] {
    s->lock.lock();
    const bool somebody = s->idle.load_relaxed() != 0;
    if (somebody) s->idle.store_relaxed(0);
    s->lock.unlock();
    if (somebody) s->bed.wake();
  };
  return scenario{{// The submitter.
                   [s, wake_if_idle] {
                     s->lock.lock();
                     s->queue.set(1);
                     s->size.store_relaxed(1);
                     s->lock.unlock();
                     if (s->spinning.fetch_add_acq_rel(0) == 0) wake_if_idle();
                   },
                   // The M that spins, finds nothing, and goes idle.
                   [s] {
                     if (LookAgain) {
                       s->lock.lock();
                       const bool found = s->queue.get() != 0;
                       if (!found) {
                         s->idle.store_relaxed(1);
                         s->spinning.fetch_sub_acq_rel(1);
                       }
                       s->lock.unlock();
                       if (!found) s->bed.sleep();
                     } else {
                       const bool found = s->size.load_relaxed() != 0;  // without the lock
                       if (!found) {
                         s->lock.lock();
                         s->idle.store_relaxed(1);
                         s->spinning.fetch_sub_acq_rel(1);
                         s->lock.unlock();
                         s->bed.sleep();
                       }
                     }
                     ++s->ran;
                   }},
                  [s] { check(s->ran == 1, "the work was never run"); }};
}

TEST(idle, work_submitted_while_an_m_goes_idle_is_run) {
  expect_right(explore(submit_against_idle<true>));
}

TEST(fault, looking_without_the_lock_loses_a_wake_up) {
  const outcome o = explore(submit_against_idle<false>);
  EXPECT_TRUE(o.failed);
  EXPECT_NE(o.report.find("deadlock"), std::string::npos) << o.report;
}

}  // namespace
}  // namespace gort::model
