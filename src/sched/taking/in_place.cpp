// Threads parked in place (hand_off.cpp): their list, their turns, and how many there may be.
//
// Problem: each goroutine that computes and has been preempted holds a thread. Thousands of them
// would take thousands of threads, and more than max_threads end the process. But who holds the
// others back until some have ended holds them back for ever if those compute for ever.
//
// Invariants
//   [crowd-1] When `in_place_limit` threads are in place it is *crowded*, until one fewer is. Then
//             goroutines that have not started are held back, in order, while those in place take
//             their turns; when as many as there are have had one, and somebody is held back, the
//             limit rises: by an eighth, beyond half of max_threads by one. So who is held back
//             waits for one round, as it would behind them in one queue, and the number of threads
//             grows more slowly the more there are. A limit above the first lasts until half of
//             that are in place.
//   [crowd-2] While it is crowded what is started goes to the global queue, what a preempted P has
//             in its nursery to `held_back`, and what is taken from the global queue there too. All
//             comes from `held_back` first when it is crowded no longer.
//   [crowd-3] `spare_threads` fewer than max_threads is the end: then nothing but those in place
//             gets the P of one that is preempted, and the limit stays. Where the system has given
//             fewer threads than that, what it has given counts instead [threads-7].
//   [crowd-4] All additions to the list go through add_in_place_locked(), all removals through
//             take_in_place_locked(), so there is one place that notices a crowd, and one that
//             notices its end.
//
// Rejected: a fixed number (nothing new started beside 128 that compute); no number (10 000
// short jobs would make 10 000 threads where now a thousand do, and then the process would end).
#include <algorithm>

#include "sched/gmp/seams.hpp"
#include "sched/taking/hand_off.hpp"
#include "sched/taking/strays.hpp"

namespace gort::sched {

namespace {

constexpr std::size_t spare_threads = 64;  // for goroutines that block, and the runtime's own

std::size_t half_of_threads_locked() noexcept {
  const std::int64_t threads = std::min(sched.max_threads, threads_to_be_had_locked());
  return static_cast<std::size_t>(threads < 2 ? 1 : threads / 2);
}

std::size_t most_in_place_locked() noexcept {
  const std::size_t half = half_of_threads_locked();
  return half > spare_threads ? 2 * half - spare_threads : half;
}

std::size_t limit_locked() noexcept {
  const std::size_t most = most_in_place_locked();  // max_threads may have changed
  return sched.in_place_limit < most ? sched.in_place_limit : most;
}

void notice_crowd_locked() noexcept {
  const std::size_t half = half_of_threads_locked();
  const std::size_t first = half < in_place_at_first ? half : in_place_at_first;
  if (2 * sched.in_place.size < first) sched.in_place_limit = first;
  const bool crowded = sched.in_place.size >= limit_locked();
  sched.crowded.store_relaxed(crowded ? 1 : 0);  // a hint to those without the lock
}

// One more has had its turn [crowd-1].
void count_turn_in_crowd_locked() noexcept {
  if (sched.crowded.load_relaxed() == 0) return;
  if (++sched.resumed_in_crowd < sched.in_place.size || sched.held_back.size == 0) return;
  sched.resumed_in_crowd = 0;
  const std::size_t now = limit_locked();
  sched.in_place_limit = now + (now < half_of_threads_locked() ? now / 8 + 1 : 1);
}

// Of those that are not in place.
runnable pop_queued_locked() noexcept {
  const bool crowded = sched.crowded.load_relaxed() != 0;
  if (!crowded) {
    if (runnable r = sched.held_back.pop_front(); r != 0) return r;
  }
  runnable r = sched.global_queue.pop_front();
  while (crowded && r != 0 && is_unstarted(r)) {  // [crowd-2]
    sched.held_back.push_back(r);
    r = sched.global_queue.pop_front();
  }
  return r;
}

}  // namespace

void count_global_locked() noexcept {
  const std::size_t held_back = sched.crowded.load_relaxed() != 0 ? 0 : sched.held_back.size;
  sched.in_place_size.store_relaxed(static_cast<std::uint32_t>(sched.in_place.size));
  sched.global_size.store_relaxed(
      static_cast<std::uint32_t>(sched.global_queue.size + sched.in_place.size + held_back));
}

void add_in_place_locked(m& who) noexcept {
  sched.in_place.push_back(who);
  notice_crowd_locked();
  count_global_locked();
}

void take_in_place_locked(m& who) noexcept {
  sched.in_place.remove(who);
  count_turn_in_crowd_locked();
  notice_crowd_locked();
  count_global_locked();
}

m* pop_in_place_locked() noexcept {
  m* first = sched.in_place.head;
  if (first != nullptr) take_in_place_locked(*first);
  return first;
}

void resume_in_place_locked(m& who, p& what) noexcept {
  who.in_place = in_place::no;
  g& resumed = *who.current.load_relaxed();
  resumed.on_cpu.store_relaxed(on_cpu_here);  // who looks at it next gets it by sched.lock
  resumed.status.store_relaxed(g_status::running);
  hold_locked(who, what);
}

runnable pop_global_locked(shared which) noexcept {
  bool in_place_first = which == shared::in_place;
  if (which == shared::in_turn) {
    sched.in_place_turn = !sched.in_place_turn;
    in_place_first = sched.in_place_turn && sched.in_place.size != 0;
  }
  runnable r = 0;
  if (!in_place_first) r = pop_queued_locked();
  if (r == 0 && which != shared::global) {
    if (const m* first = pop_in_place_locked(); first != nullptr)
      r = to_runnable(first->current.load_relaxed());
  }
  count_global_locked();
  return r;
}

bool hold_back_locked(p& mine) noexcept {
  if (sched.crowded.load_relaxed() == 0) return false;
  while (runnable r = mine.nursery.pop_oldest()) sched.held_back.push_back(r);
  return sched.in_place.size >= most_in_place_locked();
}

m* resume_on_idle_p_locked() noexcept {
  if (sched.in_place.size == 0 || sched.stop_requested.load_relaxed() != 0) return nullptr;
  p* idle = pop_idle_p_locked();
  if (idle == nullptr) return nullptr;
  m* oldest = pop_in_place_locked();
  resume_in_place_locked(*oldest, *idle);
  return oldest;
}

void let_go_locked(m& who) noexcept {
  g& resumed = *who.current.load_relaxed();
  resumed.on_cpu.store_relaxed(on_cpu_here);  // ordered by the note
  seam::strays_locked(resumed);
  add_stray_locked(who);
}

bool let_one_in_place_go(bool for_a_stop) noexcept {
  detail::spin_guard guard(sched.lock);
  if (!for_a_stop && sched.stop_requested.load_relaxed() != 0) return false;
  m* who = pop_in_place_locked();
  if (who == nullptr) return false;
  let_go_locked(*who);
  // Before anybody else looks at it: a stray that sleeps is one in a library's call [stray-3].
  who->wake_note.wake();
  return true;
}

}  // namespace gort::sched
