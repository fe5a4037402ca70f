// The seams where somebody looks: whom they tell what.
#include "sched/gmp/seams.hpp"

#include <algorithm>
#include <utility>

#include <gort/detail/spin_lock.hpp>

#include "base/sanitizer.hpp"
#include "record/contention.hpp"
#include "record/event_clock.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/observer.hpp"
#include "sched/gmp/proc.hpp"

namespace gort::sched {

namespace seam {
word_of_its_own wanted;
}

namespace {

using seam::at;

detail::spin_lock tables_lock;  // for those who change what follows
detail::atomic<const observer*> tables[observers_max];
// When times began to be kept: what is older was left by an earlier observer. 0: they are not.
detail::atomic<std::int64_t> times_since_ns;
// What g::readied is while the trace that is on was told of the wake-up: another for each [seam-4].
detail::atomic<std::uint8_t> traces{wake_up_traced};

constexpr std::uint32_t bit(at where, bool is_wanted) noexcept {
  return is_wanted ? static_cast<std::uint32_t>(where) : 0;
}

std::uint32_t wanted_by(const observer& o) noexcept {
  const bool times = o.wants_times;
  const bool unblocked = o.unblocked != nullptr;
  return bit(at::created, o.created != nullptr || times) |
         // `started` tells late wake-ups too.
         bit(at::started, o.started != nullptr || unblocked) |
         // A call must have ended before it blocks.
         bit(at::blocked, o.blocked != nullptr || o.syscall_ended != nullptr) |
         bit(at::unblocked, unblocked || times) |
         bit(at::yielded, o.yielded != nullptr || o.syscall_ended != nullptr || times) |
         bit(at::preempted, o.preempted != nullptr || o.syscall_ended != nullptr || times) |
         bit(at::strayed, o.strayed != nullptr) | bit(at::ended, o.ended != nullptr) |
         bit(at::syscall_begun, o.syscall_begun != nullptr) |
         bit(at::syscall_ended, o.syscall_ended != nullptr) |
         bit(at::syscall_left, o.syscall_left != nullptr || times) |
         bit(at::p_started, o.p_started != nullptr) | bit(at::p_stopped, o.p_stopped != nullptr) |
         bit(at::p_taken, o.p_taken != nullptr) |
         bit(at::procs_changed, o.procs_changed != nullptr) |
         bit(at::switched, o.switched != nullptr) | bit(at::m_sleeps, o.m_sleeps != nullptr) |
         bit(at::m_woke, o.m_woke != nullptr) | bit(at::world_stops, o.world_stops != nullptr) |
         bit(at::world_goes_on, o.world_goes_on != nullptr) |
         bit(at::collected, o.collected != nullptr);
}

void want_locked() noexcept {
  std::uint32_t all = bit(at::sanitized, base::program_has_asan()) |
                      bit(at::waits, record::block_events.rate() != 0);
  bool times = false;
  for (const auto& each : tables) {
    const observer* o = each.load_relaxed();
    if (o == nullptr) continue;
    all |= wanted_by(*o);
    times = times || o->wants_times;
  }
  if (!times)
    times_since_ns.store_relaxed(0);
  else if (times_since_ns.load_relaxed() == 0)
    times_since_ns.store_relaxed(record::event_ns());
  // Who sees it loads the tables with acquire, or sees none.
  seam::wanted.value.store_relaxed(all);
}

/// Calls what `which` points to in each table that has it.
template <class Function, class... A>
[[gnu::always_inline]] inline void call(Function observer::*which, A&... arguments) noexcept {
#pragma GCC unroll 4
  for (const auto& each : tables) {
    const observer* o = each.load_acquire();  // pairs with the release in observe()
    if (o != nullptr && o->*which != nullptr) (o->*which)(arguments...);
  }
}

const observer* the_trace() noexcept {
  // Acquire pairs with the release in observe().
  return tables[static_cast<std::size_t>(observers::trace)].load_acquire();
}

// [obs-2]. Not under sched.lock.
moment here_at(std::int64_t now_ns) noexcept {
  m* here = current_m();
  p* mine = nullptr;
  if (here != nullptr && (mine = here->p_on_entry()) == nullptr) {
    detail::spin_guard guard(sched.lock);
    mine = here->held;
  }
  return {now_ns, here, mine};
}
moment here_and_now() noexcept { return here_at(record::event_in_order_ns()); }

// Where it is known that there is one, or none.
moment now_with(m* here, p* mine) noexcept { return {record::event_in_order_ns(), here, mine}; }

// [seam-6]
moment here_and_soon() noexcept { return here_at(record::event_ns()); }
moment soon_with(m* here, p* mine) noexcept { return {record::event_ns(), here, mine}; }

// For who has just told that its goroutine leaves: the next one starts at the same time, if this
// thread looks for none in between.
void leaves_at(const moment& when) noexcept {
  if (when.here != nullptr) when.here->left_ns = when.now_ns;
}

// Of a start: by g0, or by who has just left [seam-5].
std::int64_t start_ns(m& here) noexcept {
  const std::int64_t left_ns = std::exchange(here.left_ns, 0);
  return left_ns == 0 || arch::load_current_g() == &here.g0 ? record::event_ns() : left_ns;
}

// What it does next it does not do in a call.
void end_call(const moment& when, g& it) noexcept {
  if (when.mine != nullptr && it.status.load_relaxed() == g_status::syscall)
    call(&observer::syscall_ended, when, it);
}

std::int64_t unless_stale(std::int64_t time_ns) noexcept {
  const std::int64_t from_ns = times_since_ns.load_relaxed();
  return from_ns == 0 || time_ns < from_ns ? 0 : time_ns;
}

}  // namespace

void observe(observers who, const observer& table) noexcept {
  {
    detail::spin_guard guard(tables_lock);
    if (who == observers::trace) {
      constexpr unsigned values = 256 - wake_up_traced;
      const unsigned next = (traces.load_relaxed() - wake_up_traced + 1u) % values + wake_up_traced;
      traces.store_relaxed(static_cast<std::uint8_t>(next));
    }
    // Release pairs with the acquires in call() and the_trace(): the table, and which trace it is.
    tables[static_cast<std::size_t>(who)].store_release(&table);
    want_locked();
  }
  // Who has begun under this lock without seeing it has finished: note_state() sees what it did.
  detail::spin_guard guard(sched.lock);
}

void stop_observing(observers who) noexcept {
  detail::spin_guard guard(tables_lock);
  tables[static_cast<std::size_t>(who)].store_relaxed(nullptr);
  want_locked();
}

namespace {

// In place, as was told, or would have been.
bool is_in_place_locked(const g& it) noexcept {
  // Acquire pairs with the release in park_in_place().
  return it.on_cpu.load_acquire() == on_cpu_only_there && it.m->in_place != in_place::no &&
         !it.m->stray;
}

}  // namespace

g_status note_state(g& it) noexcept {
  if (it.id == 0) return g_status::dead;
  bool is_untold = false;
  {
    detail::spin_guard guard(sched.lock);  // for strays
    if (is_in_place_locked(it)) return g_status::runnable;
    // Acquire pairs with the release in blocks().
    const g_status now = it.status.load_acquire();
    if (now != g_status::waiting || it.readied.load_relaxed() == no_wake_up) return now;
    is_untold = it.readied.load_relaxed() == wake_up_untold;
    it.readied.store_relaxed(traces.load_relaxed());
  }
  // The new one need not be told, but whoever was there before must be: nobody does so later. Its
  // waker may still be at it: since when is not to be read.
  if (is_untold) {
    const moment now = here_and_now();
    g* nobody = nullptr;
    std::int64_t since_ns = 0;
    call(&observer::unblocked, now, it, nobody, since_ns);
  }
  return g_status::runnable;
}

g_status state_as_told(const g& it) noexcept {
  if (it.id == 0) return g_status::dead;
  detail::spin_guard guard(sched.lock);  // for strays
  if (is_in_place_locked(it)) return g_status::runnable;
  // Acquire pairs with the release in blocks().
  const g_status now = it.status.load_acquire();
  const bool woken = now == g_status::waiting && it.readied.load_relaxed() == traces.load_relaxed();
  return woken ? g_status::runnable : now;
}

}  // namespace gort::sched

namespace gort::sched::seam {

void tell_created(detail::spawn_record& born) noexcept {
  const moment when = here_and_soon();
  born.runnable_since_ns = when.now_ns;
  g* by = arch::load_current_g();
  call(&observer::created, when, born, by);
}

namespace {

// [seam-3]
void tell_late(const moment& when, g& it, std::int64_t since_ns) noexcept {
  const std::uint8_t readied = it.readied.load_relaxed();
  g* nobody = nullptr;
  if (readied == wake_up_untold) {
    call(&observer::unblocked, when, it, nobody, since_ns);
  } else if (readied != traces.load_relaxed()) {  // [seam-4]
    const observer* o = the_trace();
    if (o != nullptr && o->unblocked_before != nullptr) o->unblocked_before(when, it);
  }
}

}  // namespace

void tell_started(g& it, bool by_wake_up) noexcept {
  m& here = *current_m();
  const bool was_woken = by_wake_up && it.readied.load_relaxed() != no_wake_up;
  const std::int64_t became_runnable_ns = was_woken ? it.woken_at_ns : it.runnable_since_ns;
  const moment when{std::max(start_ns(here), became_runnable_ns), &here, here.held};  // [seam-6]
  const std::int64_t since_ns = unless_stale(became_runnable_ns);
  if (was_woken) tell_late(when, it, since_ns);
  call(&observer::started, when, it, since_ns);
}

void tell_blocked(g& it, detail::wait_reason why) noexcept {
  const moment when = here_and_soon();
  it.blocked_at_ns = when.now_ns;
  end_call(when, it);
  call(&observer::blocked, when, it, why);
  leaves_at(when);
}

void tell_unblocked(g& it) noexcept {
  moment when = here_and_soon();
  // Acquire pairs with the release in blocks(): it has told that it blocks.
  if (it.status.load_acquire() != g_status::waiting) {
    it.woken_at_ns = when.now_ns;
    it.readied.store_relaxed(wake_up_untold);  // ordered by the queue, both
    return;
  }
  when.now_ns = std::max(when.now_ns, it.blocked_at_ns);  // [seam-6]
  it.woken_at_ns = when.now_ns;
  // Who sees the table sees which trace it is for.
  const std::uint8_t told = the_trace() != nullptr ? traces.load_relaxed() : wake_up_told;
  g* by = arch::load_current_g();
  call(&observer::unblocked, when, it, by, when.now_ns);
  it.readied.store_relaxed(told);
}

void tell_yielded(g& it) noexcept {
  const moment when = soon_with(it.m, it.m->held);
  end_call(when, it);
  it.runnable_since_ns = when.now_ns;
  call(&observer::yielded, when, it);
  leaves_at(when);
}

void tell_preempted(g& it, p& mine) noexcept {
  const moment when = now_with(it.m, &mine);
  end_call(when, it);
  it.runnable_since_ns = when.now_ns;
  call(&observer::preempted, when, it);
}

void tell_strayed(g& it) noexcept {
  m* here = current_m();
  const moment when = now_with(here, here == nullptr ? nullptr : here->held);
  call(&observer::strayed, when, it);
}

void tell_ended(g& it) noexcept {
  const moment when = soon_with(it.m, it.m->held);
  call(&observer::ended, when, it);
  leaves_at(when);
}

void tell_syscall_begun(g& it) noexcept {
  const moment when = here_and_soon();
  if (when.mine != nullptr && it.status.load_relaxed() != g_status::syscall)
    call(&observer::syscall_begun, when, it);
}

void tell_syscall_ended(g& it) noexcept { end_call(soon_with(it.m, it.m->held), it); }

void tell_syscall_left(g& it) noexcept {
  const moment when = now_with(it.m, nullptr);
  it.runnable_since_ns = when.now_ns;
  call(&observer::syscall_left, when, it);
}

void tell_p_started(m& here, p& mine) noexcept {
  const moment when = now_with(&here, &mine);
  call(&observer::p_started, when);
}

void tell_p_stopped(m& here, p& mine) noexcept {
  const moment when = now_with(&here, &mine);
  call(&observer::p_stopped, when);
}

void tell_p_taken(m& victim, p& what, g& it, bool found) noexcept {
  m* here = current_m();
  const moment when = now_with(here, here == nullptr ? nullptr : here->held);
  call(&observer::p_taken, when, victim, what, it, found);
}

void tell_procs_changed(int count) noexcept {
  const moment when = here_and_now();
  call(&observer::procs_changed, when, count);
}

void tell_m_sleeps(m& here, g* it) noexcept {
  const moment when = now_with(&here, nullptr);
  call(&observer::m_sleeps, when, it);
}

void tell_m_woke(m& here, g* it) noexcept {
  const moment when = now_with(&here, nullptr);  // somebody may be about to give it one
  call(&observer::m_woke, when, it);
}

void tell_switched(m& here, g& from, g& to) noexcept { call(&observer::switched, here, from, to); }

void tell_switch_and_start(m& here, g& from, g& to) noexcept {
  if (to.kind != g_kind::scheduler && is_wanted(at::started)) tell_started(to, true);
  if (is_wanted(at::switched)) tell_switched(here, from, to);
}

void look_again() noexcept {
  detail::spin_guard guard(tables_lock);
  want_locked();
}

void tell_world_stops() noexcept {
  const moment when = here_and_now();
  call(&observer::world_stops, when);
}
void tell_world_goes_on() noexcept {
  const moment when = here_and_now();
  call(&observer::world_goes_on, when);
}

void tell_collected(record::trace_kind what, std::uint64_t id,
                    std::span<const std::uint64_t> words) noexcept {
  const moment when = here_and_soon();
  call(&observer::collected, when, what, id, words);
}

}  // namespace gort::sched::seam
