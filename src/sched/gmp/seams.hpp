// Seams: the places where a G changes state, a P changes hands, an M sleeps. Observers (trace,
// latencies, probes) hook in here and nowhere else. What they are told: observer.hpp.
//
// Problem: most of the time nobody looks, and a hand-off takes 15 ns. And who is told of a change
// must be able to rely on it: that it is one, and comes after the one before.
//
// A word says which seams anybody wants. One that is not wanted is a test of that word and a branch
// never taken; the rest is out of line (seams.cpp): it finds out where it is, reads the clock once,
// and calls who wants it. The change of state itself is made here, too.
//
// Invariants
//   [seam-1] The word is written by observe(), stop_observing() and look_again(); it shares its
//            cache line with nothing.
//   [seam-2] g::status is written by whom the G belongs to at that moment [g-3]: its own thread,
//            who is about to run it, or who holds sched.lock while its thread waits in place. Only
//            who takes the P of a thread is a second party: it compares and swaps, from `running`.
//   [seam-3] Whether its wake-up has come is a byte of its own, g::readied, which belongs to the
//            one that has the right to ready the G [park-1]. It looks at `status`. `waiting` means
//            that the G has told that it blocks, and waits until this very call goes through: so
//            it tells `unblocked`. Anything else: the G is still on its way to park(), may be
//            preempted there or lose its P, and telling would be too early [hand-4]. Then it is
//            left to who starts the G afterwards, which tells it just before `started`. Status and
//            readied together are the truth at any time: one that waits and is readied is
//            runnable. Neither needs a locked instruction. tests/model/seam_model.cpp.
//   [seam-4] A trace may begin between a wake-up and the start that it leads to, and who wakes may
//            not know yet: so `readied` says whether a trace was told, and which. Who starts the G
//            tells a trace that was not. One may begin beside another (a stream, a flight
//            recorder): both have the same table and see the same events. So what is told for the
//            new one's sake says so, and what the old one does not know yet is told when that
//            begins.
//   [seam-5] Where one G leaves and the next starts on the same M without a look around by g0, both
//            have the time of the first (m::left_ns): a look at the clock costs as much as a
//            switch. The pick between them may have taken some nanoseconds, a microsecond at most.
//   [seam-6] What one thread does because of another has no earlier time, though the clock may be
//            read early [clock-2]: a start is not before its G became runnable, a wake-up not
//            before the G blocked. What happens rarely reads the clock in order; the rest follows
//            from what the same thread has done before.
//
// Rejected: functions declared here and defined above, as for reports: several observers need a
// list anyway. A compare-and-swap in park() and ready(): 5 ns each, also while nobody looks. That
// the G tells of its own early wake-up in park(): it would have to read what the waker writes after
// it has written what the waker reads, with a full barrier in between. That who gives a P to a
// sleeping M tells in its place: it would write into that thread's buffer, and sooner than it
// starts.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>

#include <gort/detail/atomic.hpp>

#include "record/trace_event.hpp"
#include "sched/gmp/g.hpp"
#include "sched/gmp/latency.hpp"

namespace gort::sched {

struct p;

}  // namespace gort::sched

namespace gort::sched::seam {

enum class at : std::uint32_t {
  created = 1u << 0,
  started = 1u << 1,
  blocked = 1u << 2,
  unblocked = 1u << 3,
  yielded = 1u << 4,
  preempted = 1u << 5,
  strayed = 1u << 6,
  ended = 1u << 7,
  syscall_begun = 1u << 8,
  syscall_ended = 1u << 9,
  syscall_left = 1u << 10,
  p_started = 1u << 11,
  p_stopped = 1u << 12,
  p_taken = 1u << 13,
  procs_changed = 1u << 14,
  m_sleeps = 1u << 15,
  m_woke = 1u << 16,
  world_stops = 1u << 17,
  world_goes_on = 1u << 18,
  switched = 1u << 19,
  collected = 1u << 20,
  sanitized = 1u << 21,  // AddressSanitizer's runtime is in the program: it is told of switches
  waits = 1u << 22,      // the block profile (contention.hpp)
};

struct alignas(64) word_of_its_own {
  detail::atomic<std::uint32_t> value;
};
// Hidden: reached without a table of addresses. [seam-1]
extern word_of_its_own wanted [[gnu::visibility("hidden")]];

/// Relaxed: who must not miss anything stops the world, see observe().
inline bool is_wanted(at where) noexcept {
  return (wanted.value.load_relaxed() & static_cast<std::uint32_t>(where)) != 0;
}
constexpr at operator|(at a, at b) noexcept {
  return static_cast<at>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}

// Out of line, for those that are wanted. The same as below, without the look.
void tell_created(detail::spawn_record& born) noexcept;
void tell_started(g& it, bool by_wake_up) noexcept;
void tell_blocked(g& it, detail::wait_reason why) noexcept;
void tell_unblocked(g& it) noexcept;
void tell_yielded(g& it) noexcept;
void tell_preempted(g& it, p& mine) noexcept;
void tell_strayed(g& it) noexcept;
void tell_ended(g& it) noexcept;
void tell_syscall_begun(g& it) noexcept;
void tell_syscall_ended(g& it) noexcept;
void tell_syscall_left(g& it) noexcept;
void tell_p_started(m& here, p& mine) noexcept;
void tell_p_stopped(m& here, p& mine) noexcept;
void tell_p_taken(m& victim, p& what, g& it, bool found) noexcept;
void tell_procs_changed(int count) noexcept;
void tell_m_sleeps(m& here, g* it) noexcept;
void tell_m_woke(m& here, g* it) noexcept;
void tell_switched(m& here, g& from, g& to) noexcept;
void tell_switch_and_start(m& here, g& from, g& to) noexcept;
void tell_world_stops() noexcept;
void tell_world_goes_on() noexcept;
void tell_collected(record::trace_kind what, std::uint64_t id,
                    std::span<const std::uint64_t> words) noexcept;

// Where a G becomes runnable and where it runs the latency of it is measured, too (latency.hpp),
// whether anybody looks or not. mine: the P that this thread holds, or null.

/// The record is complete, and in no queue.
inline void created(detail::spawn_record& born, p* mine) noexcept {
  born.runnable_since_ns = 0;
  if (is_wanted(at::created)) [[unlikely]]
    tell_created(born);
  latency::begin(born, mine);
}

/// Its context is about to be loaded, or it goes on where it is, having given up its turn.
inline void starts(g& it) noexcept {
  latency::end(it);
  if (is_wanted(at::started)) [[unlikely]]
    tell_started(it, true);
  it.status.store_relaxed(g_status::running);
  it.readied.store_relaxed(no_wake_up);
}

/// Whether anybody wants to know of the switch to another context and of the start that it is: one
/// look for all. Then tell_switch_and_start() comes before starts_by_switch().
inline bool is_switch_wanted() noexcept {
  return is_wanted(at::started | at::switched | at::sanitized);
}
/// Whether anybody wants to know of an end and of the start that follows on the same stack.
inline bool is_succession_wanted() noexcept {
  return is_wanted(at::ended | at::started | at::switched);
}
inline void starts_by_switch(g& to) noexcept {
  to.status.store_relaxed(g_status::running);
  to.readied.store_relaxed(no_wake_up);
}

/// After a change of what nobody observes: once before the first switch, for sanitizers, and with
/// the block profile's rate.
void look_again() noexcept;

/// It goes on where it is, with a P again: no park() ends with it, so a wake-up that has come
/// stays.
inline void goes_on(g& it) noexcept {
  latency::end(it);
  if (is_wanted(at::started)) [[unlikely]]
    tell_started(it, false);
  it.status.store_relaxed(g_status::running);
}

/// Whether anybody wants to know of a wait: one look for all.
inline bool is_wait_wanted() noexcept { return is_wanted(at::blocked | at::waits); }
inline void blocks_untold(g& it) noexcept {
  it.status.store_release(g_status::waiting);  // pairs with the acquire in tell_unblocked()
}
inline void blocks(g& it, detail::wait_reason why) noexcept {
  if (is_wanted(at::blocked)) [[unlikely]]
    tell_blocked(it, why);
  blocks_untold(it);
}

/// By the one that has the right to [park-1], before it queues `it`.
inline void unblocked(g& it, p* mine) noexcept {
  latency::begin(it, mine);
  if (is_wanted(at::unblocked)) [[unlikely]]
    tell_unblocked(it);
  else
    it.readied.store_relaxed(wake_up_untold);  // ordered by the queue
}

inline void yields(g& it, p& mine) noexcept {
  latency::begin(it, mine);
  if (is_wanted(at::yielded)) [[unlikely]]
    tell_yielded(it);
  it.status.store_relaxed(g_status::runnable);
}

/// On its own thread, whose P `mine` still is; under sched.lock.
inline void preempted_locked(g& it, p& mine) noexcept {
  latency::begin(it, nullptr);
  if (is_wanted(at::preempted)) [[unlikely]]
    tell_preempted(it, mine);
}

/// Under sched.lock.
inline void strays_locked(g& it) noexcept {
  it.stamped.store_relaxed(0);  // it runs, without having started
  if (is_wanted(at::strayed)) [[unlikely]]
    tell_strayed(it);
  it.status.store_relaxed(g_status::syscall);
}

inline void ends(g& it) noexcept {
  if (is_wanted(at::ended)) [[unlikely]]
    tell_ended(it);
}

/// Nothing if it is in a call already.
inline void begins_syscall(g& it) noexcept {
  if (is_wanted(at::syscall_begun)) [[unlikely]]
    tell_syscall_begun(it);
  it.status.store_relaxed(g_status::syscall);
}

/// With its P. Nothing if it is in none any longer, having blocked there.
inline void ends_syscall(g& it) noexcept {
  if (is_wanted(at::syscall_ended)) [[unlikely]]
    tell_syscall_ended(it);
  it.status.store_relaxed(g_status::running);
}

/// Without a P: it is runnable. Under sched.lock.
inline void leaves_syscall_locked(g& it) noexcept {
  latency::begin(it, nullptr);
  if (is_wanted(at::syscall_left)) [[unlikely]]
    tell_syscall_left(it);
  it.status.store_relaxed(g_status::runnable);
}

/// Where `here` finds that it has got a P.
inline void p_started(m& here, p& mine) noexcept {
  if (is_wanted(at::p_started)) [[unlikely]]
    tell_p_started(here, mine);
}
/// By `here`'s own thread, under sched.lock.
inline void p_stopped_locked(m& here, p& mine) noexcept {
  if (is_wanted(at::p_stopped)) [[unlikely]]
    tell_p_stopped(here, mine);
}
inline void p_taken_locked(m& victim, p& what, g& it, bool found) noexcept {
  if (is_wanted(at::p_taken)) [[unlikely]]
    tell_p_taken(victim, what, it, found);
}
inline void procs_changed(int count) noexcept {
  if (is_wanted(at::procs_changed)) [[unlikely]]
    tell_procs_changed(count);
}

/// Around the sleep of an M; `it`: with that goroutine in place.
inline void m_sleeps(m& here, g* it = nullptr) noexcept {
  if (is_wanted(at::m_sleeps)) [[unlikely]]
    tell_m_sleeps(here, it);
}
inline void m_woke(m& here, g* it = nullptr) noexcept {
  if (is_wanted(at::m_woke)) [[unlikely]]
    tell_m_woke(here, it);
}

/// The thread is about to leave one context for another; or, with both the same, the goroutine
/// there has become the next one.
inline void switches(m& here, g& from, g& to) noexcept {
  if (is_wanted(at::switched)) [[unlikely]]
    tell_switched(here, from, to);
}

inline void world_stops() noexcept {
  if (is_wanted(at::world_stops)) [[unlikely]]
    tell_world_stops();
}
inline void world_goes_on() noexcept {
  if (is_wanted(at::world_goes_on)) [[unlikely]]
    tell_world_goes_on();
}

/// By src/gc, inside gort.
inline void collected(record::trace_kind what, std::uint64_t id,
                      std::initializer_list<std::uint64_t> words = {}) noexcept {
  if (is_wanted(at::collected)) [[unlikely]]
    tell_collected(what, id, {words.begin(), words.size()});
}

}  // namespace gort::sched::seam
