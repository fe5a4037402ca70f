// Waiting, being woken, and giving way: what locks, channels and the poller call. switch.hpp
// switches.
#include <gort/detail/park.hpp>

#include "arch/context.hpp"
#include "os/thread.hpp"
#include "sched/gmp/contention.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/seams.hpp"
#include "sched/switching/schedule.hpp"
#include "sched/switching/switch.hpp"

namespace gort::detail {

using namespace gort::sched;

namespace {

constexpr bool is_mutex_wait(wait_reason why) noexcept {
  return why >= wait_reason::sync_mutex_lock && why <= wait_reason::sync_rw_mutex_lock;
}
static_assert(is_mutex_wait(wait_reason::sync_rw_mutex_rlock) &&
              !is_mutex_wait(wait_reason::sync_cond_wait) &&
              !is_mutex_wait(wait_reason::sync_wait_group_wait));

// Inside gort.
void count_io_wait(g* self, int change) noexcept {
  if (p* here = self->m->p_on_entry(); here != nullptr) [[likely]]
    here->io_waits.store_relaxed(here->io_waits.load_relaxed() + change);
  else
    sched::sched.io_waits_elsewhere.fetch_add_relaxed(change);
}

}  // namespace

namespace {

// Whether its duration or number is counted; and some beside them.
constexpr bool may_be_counted(wait_reason why) noexcept {
  return why >= wait_reason::io_wait && why <= wait_reason::sync_rw_mutex_lock;
}

// Inside gort, with its reason known.
[[gnu::noinline]] void leave_counted(g* self, wait_reason why) noexcept {
  const bool for_network = why == wait_reason::io_wait, for_mutex = is_mutex_wait(why);
  latency::mutex_wait mutex_wait;
  if (for_network) count_io_wait(self, 1);
  if (for_mutex) mutex_wait = latency::begin_mutex_wait(self->m->p_on_entry());
  leave(self);
  if (for_network) count_io_wait(self, -1);
  if (for_mutex) latency::end_mutex_wait(mutex_wait, self->m->p_on_entry());
}

// Inside gort. is_told: whether somebody may want to know.
template <bool is_told>
[[gnu::always_inline]] GORT_LEFT_BY_SWITCH inline void park_goroutine(
    g* self, wait_reason why, const awaited* what) noexcept {
  delay_point(delay_at::park);
  if constexpr (is_told)
    seam::blocks(*self, why);
  else
    seam::blocks_untold(*self);
  // Relaxed, all: read by dumps with the world stopped; a dump may see the time up to a sysmon
  // period early.
  self->reason.store_relaxed(why);
  self->awaits.store_relaxed(what);
  self->waiting_since_ns.store_relaxed(sched::sched.coarse_now_ns.load_relaxed());
  if (may_be_counted(why))
    leave_counted(self, why);
  else if constexpr (is_told)
    leave(self);
  else
    leave_here(self);
  self->reason.store_relaxed(wait_reason::none);
}

[[gnu::noinline]] void park_told(g* self, wait_reason why, const awaited* what) noexcept {
  const watched_wait watched(why);
  if (self == nullptr || self->kind != g_kind::goroutine) return park_thread(current_g(), why);
  inside_gort inside;
  park_goroutine<true>(self, why, what);
}

}  // namespace

GORT_LEFT_BY_SWITCH void park(wait_reason why, const awaited* what) noexcept {
  g* self = arch::load_current_g();
  if (self != nullptr && self->kind == g_kind::goroutine) [[likely]] {
    inside_gort inside;  // an observer that comes to be meanwhile sees it running
    if (!seam::is_wait_wanted()) [[likely]]
      return park_goroutine<false>(self, why, what);
  }
  park_told(self, why, what);
}

namespace {

[[gnu::noinline]] void ready_elsewhere(g* target) noexcept {
  seam::unblocked(*target, nullptr);
  submit_global(to_runnable(target));
}

// queue: puts a runnable into the queues of the P that this thread has.
template <class Queue>
[[gnu::always_inline]] inline void ready_with(g* target, Queue queue) noexcept {
  if (target->kind != g_kind::goroutine) [[unlikely]]
    return ready_thread(target);
  inside_gort inside;
  delay_point(delay_at::ready);
  p* mine = held_p();
  if (mine == nullptr) [[unlikely]]
    return ready_elsewhere(target);
  seam::unblocked(*target, mine);
  queue(*mine, to_runnable(target));
}

}  // namespace

void ready(g* target) noexcept { ready_with(target, push_next); }

void ready_tail(g* target) noexcept {
  ready_with(target, [](p& mine, runnable r) {
    push_tail(mine, r);
    wake_if_idle();
  });
}

void yield_now() noexcept {
  g* self = arch::load_current_g();
  if (self == nullptr || self->kind != g_kind::goroutine) [[unlikely]]
    return os::yield_thread();
  inside_gort inside;
  if (self->m->p_on_entry() == nullptr && regain_p(self)) [[unlikely]]
    return;
  p& here = *self->m->held;
  const bool locked = self->m->locked != nullptr;
  runnable other = 0;
  if (here.queue.size() == 0 && !here.queue.has_next() && here.nursery.size() == 0 &&
      here.attention.load_relaxed() == 0) {
    if (sched::sched.global_size.load_relaxed() == 0) return;  // alone
    if (!locked) other = take_global(here, true);
  }
  seam::yields(*self, here);
  push_tail(here, to_runnable(self));
  if (locked) [[unlikely]]
    return leave_for(self, 0, false);
  if (other == 0) other = pick<turns::whose_turn::unstarted_ones>(here);
  if (other == to_runnable(self)) {
    // A poll may give us our own turn back: not while somebody else could have it.
    runnable instead = here.queue.take_next();
    if (instead == 0) instead = here.nursery.pop_newest();
    if (instead != 0) {
      push_tail(here, other);
      other = instead;
    }
  }
  leave_here_for(self, other, false);
}

}  // namespace gort::detail
