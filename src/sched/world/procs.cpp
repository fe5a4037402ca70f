// The Ps: making them, and changing their number (GOMAXPROCS) with the world stopped (world.cpp).
#include <new>
#include <stdexcept>
#include <utility>

#include <gort/runtime.hpp>

#include "sched/gmp/current.hpp"
#include "sched/gmp/seams.hpp"
#include "sched/switching/schedule.hpp"
#include "sched/taking/hand_off.hpp"
#include "sched/world/container_limit.hpp"

namespace gort::sched {

void empty_queues_locked(p& from) noexcept {
  while (runnable r = from.queue.take_next()) sched.global_queue.push_back(r);
  while (runnable r = from.queue.pop()) sched.global_queue.push_back(r);
  while (runnable r = from.nursery.pop_oldest()) sched.global_queue.push_back(r);
  count_global_locked();
}

// Inside gort, and under sched.lock or after it has been taken once.
p* own_p() noexcept {
  m* here = current_m();
  return here == nullptr ? nullptr : here->held;
}

namespace {

// The thread that was stopped in place with this P waits for any P now.
void detach_stopped_locked(p& from) noexcept {
  m* parked = std::exchange(from.stopped_in_place, nullptr);
  if (parked == nullptr) return;
  parked->current.load_relaxed()->status.store_relaxed(g_status::runnable);  // it was told so
  add_in_place_locked(*parked);
}

// Moves everything a P holds to where the others find it.
void retire(p& gone) noexcept {
  {
    detail::spin_guard guard(sched.lock);
    empty_queues_locked(gone);
    detach_stopped_locked(gone);
    gone.status = p_status::dead;
  }
  flush_caches(gone);
  adopt_timers(sched.all_ps[0]->timers, gone.timers);
}

}  // namespace

// Not with the world stopped [hand-3].
void allocate_procs(int count) noexcept {
  for (int i = sched.p_allocated.load_relaxed(); i < count; ++i) {
    p* fresh = new (std::nothrow) p;
    if (fresh == nullptr) fatal("gort: out of memory for a P");
    fresh->index = i;
    record::enroll(fresh->recorded);
    sched.all_ps[i] = fresh;
    // Release pairs with the acquire in num_goroutine().
    sched.p_allocated.store_release(i + 1);
  }
}

void resize_procs(int count) noexcept {
  const int before = proc_count();
  p* mine = own_p();
  for (int i = count; i < before; ++i) retire(*sched.all_ps[i]);
  detail::spin_guard guard(sched.lock);
  for (int i = before; i < count; ++i) {
    p& each = *sched.all_ps[i];
    each.status = p_status::stopped;
    if (before == 0) push_idle_p_locked(each);  // the first time nobody starts the world
  }
  if (mine != nullptr && mine->index >= count) {
    p& first = *sched.all_ps[0];
    detach_stopped_locked(first);
    let_go_of_p_locked(*current_m());
    take_up_locked(*current_m(), first);
  }
  count_proc_time_locked();
  sched.proc_count.store_release(count);  // pairs with the acquire in proc_count()
}

}  // namespace gort::sched

namespace gort::runtime {

int gomaxprocs(int n) {
  sched::start_runtime();
  const int before = sched::proc_count();
  if (n <= 0) return before;
  if (n > sched::procs_max)
    throw std::invalid_argument("gort: gomaxprocs: at most 4096 are possible");
  sched::fix_proc_count(n);
  sched::set_proc_count(n);
  return before;
}

void set_default_gomaxprocs() {
  sched::start_runtime();
  sched::set_proc_count(sched::unfix_proc_count());
}

}  // namespace gort::runtime
