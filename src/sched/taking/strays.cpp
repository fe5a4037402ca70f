// Strays: threads in user code that have lost their P while they were blocked (hand_off.cpp).
//
// Problem: nothing tells when such a thread returns from its call. It notices at its next entry
// into gort; until then it computes beside GOMAXPROCS others, and while the world is stopped.
//
// Invariants
//   [stray-1] The list holds every M with m::stray set; both change under sched.lock. The thread of
//             one in the list exists.
//   [stray-2] One that computes for long is parked in place and is none afterwards: it waits for a
//             P. (Not inside blocking(), whose f may compute: like a C call in Go.) One that
//             computes when the world is stopped is parked as `stopped`, stays in the list, and
//             goes on without a P when the world starts.
//   [stray-3] No signal is sent to one that sleeps in a call of the kernel's: a call that is
//             restarted waits for its whole timeout again. So one that returns from its call while
//             the world is stopped computes on until it enters gort; who cannot have that must look
//             again. (One that sleeps for a page is in none, and computes as soon as it is there:
//             for it the signal waits.) At the end of the process there is no call to be restarted:
//             they are signaled, and what wakes them finds the signal first [freeze-3].
//   [stray-4] While all Ps are idle and sysmon sleeps, nobody notices one that returns from a call
//             that was not announced, until sysmon wakes for another reason: 10 s at most, unless
//             stackgiveback=0. It computes without a P as long, and takes nothing from anybody: who
//             gets a P has sysmon woken [sysmon-2], and then [stray-2] holds. Noticing it at once
//             would take a look every few milliseconds for each service that waits in such a call.
//
// Cost of a stop: for each stray one reading of its CPU clock, which stands still while it sleeps
// (and while it waits for a CPU: so whether it sleeps is asked once, when that has changed).
//
// Rejected: a timer on each stray's CPU clock, to interrupt it as soon as it returns: the kernel
// looks at those once per tick, milliseconds late.
#include "sched/taking/strays.hpp"

#include "os/preempt.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/g.hpp"
#include "sched/switching/schedule.hpp"
#include "sched/taking/hand_off.hpp"

namespace gort::sched {

void add_stray_locked(m& who) noexcept {
  who.stray = true;
  who.stray_cpu_ns = os::thread_cpu_ns(who.thread.load_relaxed());
  who.asleep_at_cpu_ns = -1;
  who.stray_next = sched.strays;
  sched.strays = &who;
}

void drop_stray_locked(m& who) noexcept {
  if (!who.stray) return;
  who.stray = false;
  for (m** at = &sched.strays; *at != nullptr; at = &(*at)->stray_next) {
    if (*at == &who) {
      *at = who.stray_next;
      return;
    }
  }
}

bool have_strays_locked() noexcept { return sched.strays != nullptr; }

bool watch_strays() noexcept {
  constexpr int looks_max = 32;
  constexpr std::int64_t computing_ns = 1'000'000;
  detail::spin_guard guard(sched.lock);
  bool any_ran = false;
  m* rest = sched.strays;
  m** tail = &sched.strays;
  for (int i = 0; i < looks_max && rest != nullptr; ++i) {
    m& each = *rest;
    const os::thread_handle thread = each.thread.load_relaxed();  // [stray-1]
    const std::int64_t cpu_ns = os::thread_cpu_ns(thread);
    if (cpu_ns - each.stray_cpu_ns >= computing_ns && !each.in_announced_call() &&
        preemption_is_on())
      os::interrupt_thread(thread);
    any_ran = any_ran || (cpu_ns != each.stray_cpu_ns && !each.in_announced_call());
    each.stray_cpu_ns = cpu_ns;
    tail = &each.stray_next;
    rest = each.stray_next;
  }
  if (rest == nullptr) return any_ran;
  // Those looked at go to the end of the list.
  m* looked_at = sched.strays;
  *tail = nullptr;
  sched.strays = rest;
  while (rest->stray_next != nullptr) rest = rest->stray_next;
  rest->stray_next = looked_at;
  return any_ran;
}

bool strays_rest_locked() noexcept {
  bool all = true;
  for (m* each = sched.strays; each != nullptr; each = each->stray_next) {
    if (each->in_place == in_place::stopped || each == current_m()) continue;  // we are inside gort
    const os::thread_handle thread = each->thread.load_relaxed();              // [stray-1]
    const std::int64_t cpu_ns = os::thread_cpu_ns(thread);
    if (sched.stop_sleepers) {
      // It may hold the signal off, or sleep where none is taken: it comes when that ends.
      constexpr std::uint8_t presses_max = 20;
      each->parked_asleep = os::activity_of(thread) == os::thread_activity::blocked;
      if (cpu_ns != each->asleep_at_cpu_ns || !each->parked_asleep) each->presses = 0;
      if (each->presses == presses_max) continue;
      each->asleep_at_cpu_ns = cpu_ns;
      ++each->presses;
      os::interrupt_thread(thread);
      all = false;
      continue;
    }
    if (cpu_ns == each->asleep_at_cpu_ns) continue;  // it has not run since
    if (os::activity_of(thread) == os::thread_activity::blocked) {
      each->asleep_at_cpu_ns = cpu_ns;
      // It computes when the page has come: in the handler first, which parks it.
      if (os::waits_for_page(thread)) os::interrupt_thread(thread);
    } else {
      os::interrupt_thread(thread);
      all = false;
    }
  }
  return all;
}

bool strays_are_stopped_locked() noexcept {
  for (const m* each = sched.strays; each != nullptr; each = each->stray_next) {
    if (each->in_place != in_place::stopped) return false;
  }
  return true;
}

m* resume_strays_locked(m* others) noexcept {
  for (m* each = sched.strays; each != nullptr; each = each->stray_next) {
    if (each->in_place != in_place::stopped) continue;
    each->in_place = in_place::no;
    each->current.load_relaxed()->on_cpu.store_relaxed(on_cpu_here);  // ordered by its note
    each->idle_next = others;
    others = each;
  }
  return others;
}

}  // namespace gort::sched
