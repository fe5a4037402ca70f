// The way into and between the run queues.
#include <gort/detail/spin_lock.hpp>

#include "sched/hand_off.hpp"
#include "sched/proc.hpp"

namespace gort::sched {

namespace {

// Moves the older half of a full queue, and `extra`, to the global queue: an owner that only
// pushes pays for the lock once in 128 pushes.
template <class Queue>
[[gnu::noinline]] void overflow(Queue& full, runnable extra) noexcept {
  runnable half[runq_capacity / 2];
  const std::uint32_t count = full.take_half(half);
  {
    detail::spin_guard guard(sched.lock);
    for (std::uint32_t i = 0; i < count; ++i) sched.global_queue.push_back(half[i]);
    sched.global_queue.push_back(extra);
    count_global_locked();
  }
  wake_if_idle();
}

}  // namespace

void push_tail_overflow(p& here, runnable r) noexcept { overflow(here.queue, r); }

void push_unstarted(p& here, runnable r) noexcept {
  if (sched.crowded.load_relaxed() != 0) [[unlikely]] {  // a hint: one more may start [hand-5]
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

void push_next(p& here, runnable r) noexcept {
  if (runnable old = here.queue.set_next(r); old != 0) {
    push_tail(here, old);
    wake_if_idle();
  } else if (here.eager_wake.load_relaxed() != 0) {  // a hint from sysmon
    wake_if_idle();
  }
}

void submit_global(runnable r) noexcept {
  {
    detail::spin_guard guard(sched.lock);
    sched.global_queue.push_back(r);
    count_global_locked();
  }
  wake_for_global();
}

runnable take_global(p& here, bool batch) noexcept {
  detail::spin_guard guard(sched.lock);
  const auto procs = static_cast<std::size_t>(proc_count());
  std::size_t count = batch ? sched.global_queue.size / procs + 1 : 1;
  if (count > runq_capacity / 2) count = runq_capacity / 2;
  const runnable first = pop_global_locked();
  if (sched.crowded.load_relaxed() != 0) return first;  // [hand-5]: the rest stays in order
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

}  // namespace gort::sched
