// The way into and between the run queues.
//
// Problem: a goroutine may be readied before it has parked: it has put itself on a wait list, and
// its thread gets no CPU there, for seconds perhaps. It stands in a queue then, and nobody can run
// it. Whoever picks it waits for as long as a switch takes, holding its P. That must not become
// seconds: others could use the P, and a stop of the world needs it.
//
// Invariants
//   [half-1] Such a goroutine, if it has not parked soon, goes to `half_left`. It is in no queue
//            meanwhile. sysmon looks whether it has parked, or its thread is parked in place (then
//            who picks it resumes that [hand-4]), and queues it.
//   [half-2] sysmon does not fall asleep while there are any. Its own thread runs it, or is a
//            stray, so it is no deadlock.
//
// Rejected: that the goroutine itself looks, when it has parked, whether it was picked meanwhile: a
// locked instruction in each switch. Queueing it again at once: with nothing else to run, a P would
// spin for as long.
#include <utility>

#include <gort/detail/spin_lock.hpp>

#include "sched/gmp/proc.hpp"
#include "sched/switching/schedule.hpp"

namespace gort::sched {

namespace {

// Moves the older half of a full queue, and `extra`, to the global queue: an owner that only
// pushes pays for the lock once in 128 pushes.
template <class Queue>
[[gnu::noinline]] void overflow(Queue& full, runnable extra) noexcept {
  runnable half[runq_capacity / 2];
  const std::uint32_t count = full.take_half(half);
  runnable_list moved;
  for (std::uint32_t i = 0; i < count; ++i) moved.push_back(half[i]);
  moved.push_back(extra);
  {
    detail::spin_guard guard(sched.lock);
    sched.global_queue.append(moved);
    count_global_locked();
  }
  wake_if_idle();
}

}  // namespace

void push_tail_overflow(p& here, runnable r) noexcept { overflow(here.queue, r); }

void push_unstarted(p& here, runnable r) noexcept {
  if (sched.crowded.load_relaxed() != 0) [[unlikely]] {  // a hint: one more may start [crowd-2]
    submit_global(r);
    return;
  }
  if (!here.nursery.push(r)) [[unlikely]] {
    overflow(here.nursery, r);
    return;
  }
  // A single one is left to this P, which is likely to be about to wait for it; sysmon notices if
  // that does not come true.
  if (here.nursery.size() > 1 || here.eager_wake.load_relaxed() != 0) wake_if_idle();
}

[[gnu::noinline]] void displace(p& here, runnable old) noexcept {
  here.displaced = true;  // [turn-3]
  push_tail(here, old);
  wake_if_idle();
}

void submit_global(runnable r) noexcept {
  {
    detail::spin_guard guard(sched.lock);
    sched.global_queue.push_back(r);
    count_global_locked();
  }
  wake_for_global();
}

runnable take_global(p& here, bool batch, shared which) noexcept {
  detail::spin_guard guard(sched.lock);
  const auto procs = static_cast<std::size_t>(proc_count());
  std::size_t count = batch ? sched.global_queue.size / procs + 1 : 1;
  if (count > runq_capacity / 2) count = runq_capacity / 2;
  const runnable first = pop_global_locked(which);
  // The rest stays in order [crowd-2].
  if (sched.crowded.load_relaxed() != 0 || sched.held_back.size != 0) return first;
  for (std::size_t i = 1; first != 0 && i < count; ++i) {
    // Off the list first: once pushed, a thief may run it and reuse its link.
    const runnable r = sched.global_queue.pop_front();
    if (r == 0) break;
    if (!(is_unstarted(r) ? here.nursery.push(r) : here.queue.push(r))) {
      sched.global_queue.push_front(r);
      break;
    }
  }
  count_global_locked();
  return first;
}

void wait_till_left(runnable r) noexcept {
  {
    detail::spin_guard guard(sched.lock);
    sched.half_left.push_back(r);
    sched.half_left_size.store_relaxed(1);  // a hint to sysmon, which is awake [half-2]
  }
  wake_sysmon();
}

bool queue_the_left() noexcept {
  if (sched.half_left_size.load_relaxed() == 0) return false;
  bool some_left = false;
  {
    detail::spin_guard guard(sched.lock);
    runnable_list waiting = std::exchange(sched.half_left, {});
    while (runnable r = waiting.pop_front()) {
      // Relaxed: who picks it looks again.
      const bool left = as_g(r)->on_cpu.load_relaxed() != on_cpu_here;
      (left ? sched.global_queue : sched.half_left).push_back(r);
      some_left = some_left || left;
    }
    sched.half_left_size.store_relaxed(static_cast<std::uint32_t>(sched.half_left.size));
    count_global_locked();
  }
  if (some_left) wake_for_global();
  return sched.half_left_size.load_relaxed() != 0;
}

}  // namespace gort::sched
