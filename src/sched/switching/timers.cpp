// Starting, stopping and firing timers. The heap itself: timer_heap.hpp.
//
// A timer goes to the heap of the P that starts it. It is fired by that P between two goroutines,
// by an M that searches for work, or by the M that sleeps until the earliest one is due.
#include <utility>

#include <gort/detail/park.hpp>
#include <gort/detail/timer_node.hpp>

#include "arch/pause.hpp"
#include "os/clock.hpp"
#include "os/thread.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/made.hpp"

namespace gort::sched {

namespace {

// Under the heap's lock: it is armed no more.
void ends_locked(detail::timer_node& t) noexcept {
  if (t.made_by == nullptr) [[likely]]
    return;
  auto* by = static_cast<maker*>(std::exchange(t.made_by, nullptr));
  note_end(by);
}

}  // namespace

bool run_timers(p& whose, std::int64_t now_ns) noexcept {
  detail::timer_heap& heap = whose.timers;
  // A hint; the lock decides.
  if (heap.next_when_ns.load_relaxed() > now_ns) return false;
  g* self = arch::load_current_g();
  bool fired = false;
  detail::delay_point(detail::delay_at::timer);
  heap.lock.lock_inside();
  if (heap.firing.load_relaxed() != nullptr) {  // somebody is at it [theap-3]
    heap.lock.unlock_inside();
    return false;
  }
  while (heap.root != nullptr && heap.root->when_ns <= now_ns) {
    detail::timer_node& t = *heap.root;
    heap.remove_locked(t);
    if (t.period_ns > 0) {
      // Missed periods are skipped, not made up for.
      t.when_ns += t.period_ns * (1 + (now_ns - t.when_ns) / t.period_ns);
      heap.insert_locked(t);
    } else {
      t.heap.store_relaxed(nullptr);  // read again under the lock by timer_stop()
      ends_locked(t);
    }
    heap.firing_g.store_relaxed(self);
    heap.firing.store_relaxed(&t);
    heap.lock.unlock_inside();
    detail::delay_point(detail::delay_at::timer);
    t.fire(t, now_ns);  // a one-shot node may be gone when this returns
    fired = true;
    heap.lock.lock_inside();
    // Release pairs with the acquire in timer_stop(): what fire() did is visible to who waited.
    heap.firing.store_release(nullptr);
  }
  heap.lock.unlock_inside();
  return fired;
}

std::int64_t earliest_timer() noexcept {
  std::int64_t earliest = detail::timer_heap::no_timer;
  const int procs = proc_count();
  for (int i = 0; i < procs; ++i) {
    const std::int64_t when = sched.all_ps[i]->timers.next_when_ns.load_relaxed();
    if (when < earliest) earliest = when;
  }
  return earliest;
}

void adopt_timers(detail::timer_heap& to, detail::timer_heap& from) noexcept {
  // World stopped, but plain threads may start and stop timers: both locks, `to` is always P 0's.
  detail::spin_guard guard_to(to.lock);
  detail::spin_guard guard_from(from.lock);
  while (from.root != nullptr) {
    detail::timer_node& t = *from.root;
    from.remove_locked(t);
    t.heap.store_relaxed(&to);
    t.last_heap.store_relaxed(&to);
    to.insert_locked(t);
  }
}

namespace {

// A timer started by a thread without a P: is anybody going to wake up in time for it?
void started_outside(std::int64_t when_ns) noexcept {
  bool late;
  {
    // [idle-3]: an M computes its deadline under this lock, from heaps that already hold the timer.
    detail::spin_guard guard(sched.lock);
    late = sched.timekeeper == nullptr || sched.timekeeper_when_ns > when_ns;
  }
  if (late) wake_for_global();
}

}  // namespace

}  // namespace gort::sched

namespace gort::detail {

std::int64_t now_ns() noexcept { return os::monotonic_ns(); }

void timer_start(timer_node& t, std::int64_t when_ns, std::int64_t period_ns) noexcept {
  inside_gort inside;
  sched::m* here = sched::current_m();
  sched::p* mine = here == nullptr ? nullptr : here->p_on_entry();
  const bool outside = mine == nullptr;
  if (outside) sched::start_runtime();
  timer_heap& heap = outside ? sched::sched.all_ps[0]->timers : mine->timers;
  sched::maker* by = sched::note_making(record::timers_made);
  heap.lock.lock_inside();
  t.made_by = by;
  t.when_ns = when_ns;
  t.period_ns = period_ns;
  t.heap.store_relaxed(&heap);  // read again under the lock by timer_stop()
  t.last_heap.store_relaxed(&heap);
  heap.insert_locked(t);
  heap.lock.unlock_inside();
  if (outside) sched::started_outside(when_ns);
}

bool timer_stop(timer_node& t) noexcept {
  for (;;) {
    timer_heap* heap = t.heap.load_relaxed();  // a hint where to look
    if (heap == nullptr) {
      heap = t.last_heap.load_relaxed();
      if (heap == nullptr) return false;  // never started
    }
    bool was_armed = false;
    bool wait = false;
    {
      spin_guard guard(heap->lock);
      timer_heap* now_in = t.heap.load_relaxed();
      if (now_in != nullptr && now_in != heap) continue;  // moved meanwhile
      if (now_in == heap) {
        heap->remove_locked(t);
        t.heap.store_relaxed(nullptr);
        sched::ends_locked(t);
        was_armed = true;
      }
      wait = heap->firing.load_relaxed() == &t &&
             heap->firing_g.load_relaxed() != arch::load_current_g();
    }
    // Acquire pairs with the release in run_timers() [timer-3].
    for (unsigned spins = 0; wait && heap->firing.load_acquire() == &t; ++spins) {
      constexpr unsigned spins_before_yield = 100;
      arch::pause();
      if (spins > spins_before_yield) os::give_way(spins - spins_before_yield);
    }
    return was_armed;
  }
}

}  // namespace gort::detail
