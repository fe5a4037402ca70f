// Taking a P behind its thread's back [inside-3], [hand-1]: whatever the moment, one of the two has
// the P, and what the thread did with it is visible to the taker.
//
// The explorer's values are sequentially consistent, which is what the fence on the taker's side
// gives the real ones. That fence itself is the kernel's (src/os/preempt.cpp).
#include <memory>

#include <gtest/gtest.h>

#include <gort/detail/spin_lock.hpp>

#include "model/engine.hpp"
#include "model/expect.hpp"
#include "model/shim_atomic.hpp"

namespace gort::model {
namespace {

// What is broken on purpose.
enum class fault { none, looks_without_acquire, believes_without_lock, takes_while_inside };

struct machine {
  detail::spin_lock lock;
  detail::atomic<int> usable{1};
  detail::atomic<int> inside;
  plain<int> held{1};    // by the thread; guarded by lock, and not changed while it is inside
  plain<int> caches{0};  // what belongs to the P
  plain<int> lost{0};    // the thread has acted on having no P
};

// The thread, entering gort and leaving it; as p_on_entry() and regain_p() do.
template <fault Fault>
void enter_and_leave(machine& m) {
  m.inside.fetch_add_relaxed(1);
  bool has_p = m.usable.load_relaxed() != 0;
  if (!has_p && Fault == fault::believes_without_lock) {
    m.lost.set(1);
  } else if (!has_p) {
    detail::spin_guard guard(m.lock);
    has_p = m.held.get() != 0;
    if (!has_p) m.lost.set(1);
  }
  if (has_p) m.caches.set(m.caches.get() + 1);
  m.inside.fetch_sub_release(1);
}

// As deprive_locked() does.
template <fault Fault>
void take(machine& m) {
  bool taken = false;
  {
    detail::spin_guard guard(m.lock);
    m.usable.store_relaxed(0);
    const int inside =
        Fault == fault::looks_without_acquire ? m.inside.load_relaxed() : m.inside.load_acquire();
    if (inside != 0 && Fault != fault::takes_while_inside) {
      m.usable.store_relaxed(1);
    } else {
      m.held.set(0);
      taken = true;
    }
  }
  if (taken) m.caches.set(m.caches.get() + 1);
}

template <fault Fault>
scenario thread_against_taker(int rounds) {
  auto m = std::make_shared<machine>();
  return scenario{{[m, rounds] {
                     for (int i = 0; i < rounds; ++i) enter_and_leave<Fault>(*m);
                   },
                   [m] { take<Fault>(*m); }},
                  [m] {
                    check(m->lost.get() == 0 || m->held.get() == 0, "a P that nobody has");
                    check(m->usable.load_relaxed() == m->held.get(), "half taken");
                  }};
}

TEST(hand_off, the_thread_or_the_taker_has_the_p) {
  expect_right(explore([] { return thread_against_taker<fault::none>(3); }));
}

template <fault Fault>
void expect_found() {
  const outcome o = explore([] { return thread_against_taker<Fault>(2); });
  EXPECT_TRUE(o.failed);
}

TEST(fault, a_look_without_acquire_is_found) { expect_found<fault::looks_without_acquire>(); }
TEST(fault, believing_without_the_lock_is_found) { expect_found<fault::believes_without_lock>(); }
TEST(fault, taking_from_a_thread_inside_is_found) { expect_found<fault::takes_while_inside>(); }

}  // namespace
}  // namespace gort::model
