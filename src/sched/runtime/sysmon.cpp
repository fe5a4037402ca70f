// sysmon: the one thread without a P, which watches those that have one.
//
// It looks every 20 us at first and, while nothing needs it, less and less often: every 10 ms when
// all Ps are busy, every 1 ms when one is idle (a goroutine may be waiting for it, see below). One
// that uses less than half of its CPU may be asleep, so it is looked at again soon, or when its P's
// next timer is due. When all Ps are idle it looks twice more in 5 ms, and then sleeps until one is
// not.
//
// What it does for a busy P:
//   - no turn for 5 ms while work waits: the next pick is one [turn-1];
//   - something ready but no pick since the last look, while another P is idle: an M is woken, and
//     for the next 10 ms every goroutine readied there wakes one at once (`eager_wake`);
//   - the thread sleeps in the kernel, or computes in a slice that is 10 ms old, while others wait
//     and no P is idle: its P is given to another M (hand_off.cpp, preempt.cpp);
//   - due timers that nobody fires: `attention`, and an idle M is woken to fire them.
// What all Ps share and nobody takes though a P is idle: an M is woken, or asked for again.
// Threads in user code without a P that compute are parked too. It gives back stack pages of
// goroutines that have been parked for long (stack_trim.cpp): after the last activity of a process
// it wakes once more for that. It also polls the network when all
// Ps are busy, follows the container's CPU limit, and reports a deadlock when everything is asleep.
//
// Invariants
//   [sysmon-1] It holds no P and never allocates, so it runs whatever the others do.
//   [sysmon-2] It sets sysmon_asleep under sched.lock, having seen under that lock that all Ps are
//              idle; whoever takes a P out of the idle list looks at sysmon_asleep afterwards.
#include <algorithm>
#include <cstdint>
#include <utility>

#include "os/clock.hpp"
#include "os/slices.hpp"
#include "os/thread.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/inspect.hpp"
#include "sched/stacks/stack_scavenge.hpp"
#include "sched/stacks/stack_trim.hpp"
#include "sched/switching/netpoll.hpp"
#include "sched/taking/hand_off.hpp"
#include "sched/taking/strays.hpp"
#include "sched/world/container_limit.hpp"
#include "sched/world/deadlock.hpp"
#include "sched/world/world.hpp"

namespace gort::sched {

namespace {

constexpr std::int64_t period_min_ns = 20'000;
constexpr std::int64_t period_max_ns = 10'000'000;
constexpr std::int64_t period_max_with_idle_ns = 1'000'000;
constexpr std::int64_t period_max_with_waiting_ns = 2'500'000;
constexpr std::int64_t computed_ns = 2'500'000;
// More than answering a signal costs: one that sleeps where it cannot park, or where its signals
// wait as under ThreadSanitizer, would be kept from sleeping by being asked.
constexpr std::int64_t asked_ns = 250'000;
constexpr std::int64_t announced_ns = 20'000;
constexpr std::int64_t blocked_ns = 250'000;
// A thread that sleeps in the kernel keeps its P that long if nobody wants it.
constexpr std::int64_t blocked_alone_ns = 20'000'000;
constexpr std::int64_t eager_ns = 10'000'000;
constexpr int quiet_rounds_before_backoff = 50;
// All Ps must have been idle that long before sysmon stops looking.
constexpr std::int64_t idle_before_sleep_ns = 5'000'000;

// A count, and since when it has been what it is.
struct seen_count {
  std::uint32_t value = 0;
  std::int64_t since_ns = 0;

  void see(std::uint32_t now, std::int64_t now_ns) noexcept {
    if (now == value) return;
    value = now;
    since_ns = now_ns;
  }
};

// What was seen of a P at the last look.
struct watch {
  std::uint32_t tick = 0;
  std::int64_t since_ns = 0;
  seen_count slice;
  seen_count turns;
  std::int64_t eager_until_ns = 0;
  // Of the holder's thread, from which on it is asked to park; -1: this turn was not looked into.
  std::int64_t ask_from_cpu_ns = -1;
  std::int64_t last_cpu_ns = -1;
  std::int64_t last_look_ns = 0;  // when that was
  std::int64_t awake_ns = 0;      // when it was last found to have used its CPU
  std::uint64_t announced_calls = 0;
  std::int64_t call_since_ns = -1;  // when the last of these was first seen; -1: not in this turn
};
watch watches[procs_max];

// One look at all Ps.
struct look {
  const std::int64_t now_ns;
  bool work_waits = false;                               // for a P, and none is idle
  std::int64_t again_ns = detail::timer_heap::no_timer;  // no later than that

  // For a P whose thread may be asleep: in time for those that wait for it, or its next timer.
  void again_soon(std::int64_t soon_ns, bool wanted, std::int64_t next_timer_ns) noexcept {
    soon_ns += now_ns;
    again_ns = std::min(again_ns, wanted ? soon_ns : std::max(soon_ns, next_timer_ns));
  }
};

// The goroutine has been at it since `since_ns`: what is its thread doing? True: the P was taken.
bool take_or_preempt(p& each, watch& seen, look& round, bool wanted,
                     std::int64_t next_timer_ns) noexcept {
  const std::int64_t now_ns = round.now_ns;
  const std::int64_t age_ns = now_ns - seen.since_ns;
  // A hint; records of Ms are never freed [threads-2]. Acquire pairs with the release in
  // hold_locked(): it is complete.
  const m* who = each.holder.load_acquire();
  if (who == nullptr) return false;
  // Without a barrier for running threads one that computes in there, after having parked there,
  // can only be preempted.
  if (who->in_announced_call() && os::fences_running_threads()) {
    const std::uint64_t calls = each.announced_calls.load_relaxed();  // a hint
    if (std::exchange(seen.announced_calls, calls) != calls || seen.call_since_ns < 0) {
      seen.call_since_ns = now_ns;
      round.again_soon(blocked_ns, wanted, next_timer_ns);
      return false;
    }
    // Nobody wants it: taken all the same in time, so that the P goes idle and sysmon can rest.
    const std::int64_t patience_ns = wanted ? announced_ns : blocked_alone_ns;
    if (now_ns - seen.call_since_ns >= patience_ns && take_p_of_blocked(each) == taking::done)
      return true;
    round.again_soon(announced_ns, wanted, next_timer_ns);
    return false;
  }
  const os::thread_handle thread = who->thread.load_relaxed();  // a hint
  const std::int64_t cpu_ns = os::thread_cpu_ns(thread);
  if (seen.ask_from_cpu_ns < 0) {
    seen.ask_from_cpu_ns = cpu_ns + computed_ns;
    seen.last_cpu_ns = cpu_ns;
    seen.last_look_ns = seen.awake_ns = now_ns;
    return false;
  }
  const std::int64_t used_ns = cpu_ns - std::exchange(seen.last_cpu_ns, cpu_ns);
  const std::int64_t passed_ns = now_ns - std::exchange(seen.last_look_ns, now_ns);
  if (used_ns != 0) seen.awake_ns = now_ns;
  const bool blocked = used_ns == 0 && now_ns - seen.awake_ns >= blocked_ns;
  if (!blocked && used_ns < passed_ns / 2) round.again_soon(blocked_ns, wanted, next_timer_ns);
  if (!wanted && age_ns < blocked_alone_ns) return false;
  // One that has used its CPU since the last look is not asked for: that costs a descriptor for a
  // moment, and three system calls.
  if (blocked && os::activity_of(thread) != os::thread_activity::runs) {
    const taking result = take_p_of_blocked(each);
    if (result == taking::inside && age_ns >= time_slice_ns) let_one_in_place_go();  // [hand-6]
    return result == taking::done;
  }
  // Only a thread that has really computed: one that merely waits for a CPU may be about to block,
  // and the signal would disturb that.
  if (wanted && now_ns - seen.slice.since_ns >= time_slice_ns && cpu_ns >= seen.ask_from_cpu_ns) {
    seen.ask_from_cpu_ns = cpu_ns + asked_ns;
    preempt(each, seen.tick);
  }
  return false;
}

// True if anything had to be done.
bool look_at(p& each, watch& seen, look& round) noexcept {
  const std::int64_t now_ns = round.now_ns;
  bool acted = false;
  const std::uint32_t tick = each.tick.load_relaxed();
  const bool same = tick == seen.tick;
  if (!same) {
    seen.tick = tick;
    seen.since_ns = now_ns;
    seen.ask_from_cpu_ns = -1;
    seen.call_since_ns = -1;
  }
  const bool has_ready =
      each.queue.size() != 0 || each.queue.has_next() || each.nursery.size() != 0;
  seen.slice.see(each.slice.load_relaxed(), now_ns);
  seen.turns.see(each.turns.load_relaxed(), now_ns);
  const bool any_waits = has_ready || sched.global_size.load_relaxed() != 0;
  if (any_waits && now_ns - seen.turns.since_ns >= turn_due_ns)
    each.attention.store_relaxed(attention_turn);
  const bool any_idle = sched.idle_p_count.load_relaxed() != 0;  // a hint
  if (same && has_ready && any_idle) {
    each.eager_wake.store_relaxed(1);
    seen.eager_until_ns = now_ns + eager_ns;
    wake_if_idle();
    acted = true;
  } else if (each.eager_wake.load_relaxed() != 0 && now_ns > seen.eager_until_ns) {
    each.eager_wake.store_relaxed(0);
  }
  const std::int64_t when = each.timers.next_when_ns.load_relaxed();
  if (when <= now_ns) {
    // Relaxed: a request for a turn that this overwrites is made again at the next look.
    if (each.attention.load_relaxed() == 0) each.attention.store_relaxed(attention_rare);
    if (same && any_idle) {
      wake_if_idle();
      acted = true;
    }
  }
  const bool wanted = !any_idle && (any_waits || when <= now_ns);
  round.work_waits = round.work_waits || wanted;
  if (take_or_preempt(each, seen, round, wanted, when)) acted = true;
  return acted;
}

// Of two points of time; -1: none.
std::int64_t sooner(std::int64_t a_ns, std::int64_t b_ns) noexcept {
  return a_ns < 0 || b_ns < 0 ? std::max(a_ns, b_ns) : std::min(a_ns, b_ns);
}

bool work_lies() noexcept {
  return sched.idle_p_count.load_relaxed() != 0 && sched.global_size.load_relaxed() != 0;
}

// A P may be idle beside what lies in the global queue or in place: after a start of the world with
// more Ps, or where an M that was wanted has not been had [threads-7]. (Nobody is preempted while a
// P is idle.) True: not everything is seen to.
bool look_after_idle_ps() noexcept {
  const bool lies = work_lies();  // a hint
  if (lies) wake_for_global();
  if (sched.m_refused.load_relaxed() == 0) return lies;
  detail::spin_guard guard(sched.lock);
  const bool nothing_can_come = judge_locked() != verdict::alive;
  if (sched.idle_ps == nullptr || sched.idle_ms != nullptr || nothing_can_come)
    sched.m_refused.store_relaxed(0);
  return true;
}

// Sleeps until a P is taken into use [sysmon-2], or it is time to look again.
void sleep_while_idle(std::int64_t at_most_until_ns) noexcept {
  // What is to be looked at again though nothing runs: stacks, those that stand still, the
  // deadlock.
  std::int64_t until_ns = sooner(trim_deadline_ns(), scavenge_deadline_ns());
  until_ns = sooner(until_ns, at_most_until_ns);
  until_ns = sooner(until_ns, look_after_frozen());
  bool dead;
  {
    detail::spin_guard guard(sched.lock);
    if (sched.idle_p_count.load_relaxed() != static_cast<std::uint32_t>(proc_count()) &&
        sched.stop_requested.load_relaxed() == 0)
      return;
    if (sched.stop_requested.load_relaxed() == 0 &&
        (sched.half_left.size != 0 || work_lies() || sched.m_refused.load_relaxed() != 0))
      return;  // [half-2], [threads-7]
    dead = judge_locked() == verdict::deadlock;
    if (!dead) sched.sysmon_asleep.store_relaxed(1);  // read after the lock, see [sysmon-2]
  }
  if (dead) report_deadlock();
  until_ns = sooner(until_ns, next_verdict_ns());
  if (sched.sysmon_note.sleep(until_ns)) return;
  // It is time. Acquire-release, as in wake_sysmon(), which may have been faster.
  if (sched.sysmon_asleep.exchange_acq_rel(0) == 0) sched.sysmon_note.sleep();
}

// No M has run out of work and looked for a time slice, or for a millisecond while a P is idle.
// (Were sysmon to look at each round, it would find something in any busy server, for which an M
// was about to look anyway, and would never slow down: a third of such a server's CPU time.)
bool poll_network_if_nobody_does(std::int64_t now_ns) noexcept {
  static std::uint32_t polls_seen = 0;
  static std::int64_t polled_ns = 0;
  const netpoller* poller = the_netpoller();
  if (poller == nullptr || !poller->in_use() || network_is_watched()) return false;
  if (const std::uint32_t polls = poller->polls(); polls != polls_seen) {
    polls_seen = polls;
    polled_ns = now_ns;
  }
  const bool any_idle = sched.idle_p_count.load_relaxed() != 0;  // a hint
  if (now_ns - polled_ns < (any_idle ? period_max_with_idle_ns : time_slice_ns)) return false;
  runnable_list found = poller->poll(0);
  record::add_elsewhere(record::counter::network_polls);
  record::add_elsewhere(record::counter::network_readied, found.size);
  bool any = false;
  while (runnable r = found.pop_front()) {
    submit_global(r);
    any = true;
  }
  return any;
}

// For how long no P has been in use, though each look comes too late to know exactly. A server that
// rests between requests, some thousand times a second, would pay for waking sysmon after each
// rest, and for its hasty first rounds: a third of its CPU time.
std::int64_t idle_for_ns(std::int64_t now_ns) noexcept {
  static std::uint32_t ticks_seen = 0;
  static std::int64_t idle_since_ns = 0;
  std::uint32_t ticks = 0;
  for (int i = 0; i < proc_count(); ++i) ticks += sched.all_ps[i]->tick.load_relaxed();
  if (ticks != ticks_seen) {
    ticks_seen = ticks;
    idle_since_ns = now_ns;
  }
  return now_ns - idle_since_ns;
}

}  // namespace

void sysmon_main(void*) noexcept {
  os::set_precise_timers();
  os::set_short_slices();
  std::int64_t period_ns = period_min_ns;
  std::int64_t sleep_ns = period_min_ns;
  int quiet_rounds = 0;
  std::int64_t strays_watched_ns = 0;
  std::int64_t limit_checked_ns = os::monotonic_ns();
  for (;;) {
    os::sleep_ns(sleep_ns);
    const std::int64_t now_ns = os::monotonic_ns();
    sched.coarse_now_ns.store_relaxed(now_ns);
    const std::int64_t next_line_ns = sooner(print_sched_trace(now_ns), check_mutex_cycles(now_ns));
    follow_static_probes();
    const auto procs = proc_count();
    const std::uint32_t idle = sched.idle_p_count.load_relaxed();
    const bool all_idle = idle == static_cast<std::uint32_t>(procs);
    const std::int64_t idle_ns = all_idle ? idle_for_ns(now_ns) : 0;
    const bool stopping = sched.stop_requested.load_relaxed() != 0;
    const bool unsettled = !stopping && look_after_idle_ps();
    const bool resting = idle_ns >= idle_before_sleep_ns && !unsettled;
    const bool trimming = !stopping && trim_some_stacks(now_ns, resting);
    const bool some_half_left = !stopping && queue_the_left();
    if (!stopping) scavenge_some_stacks(now_ns);
    if (resting && (trimming || some_half_left)) {
      sleep_ns = period_ns = period_max_with_idle_ns;
      continue;
    }
    // Strays that compute beside Ps that are all idle: [stray-2] holds for them too.
    if (resting && !stopping && watch_strays()) {
      sleep_ns = period_ns = period_max_ns;
      continue;
    }
    if (resting || stopping) {
      sleep_while_idle(next_line_ns);
      sleep_ns = period_ns = period_min_ns;
      quiet_rounds = 0;
      sched.coarse_now_ns.store_relaxed(os::monotonic_ns());
      continue;
    }
    bool acted = false;
    look round{.now_ns = now_ns};
    for (int i = 0; i < procs; ++i) {
      p& each = *sched.all_ps[i];
      if (look_at(each, watches[i], round)) acted = true;
    }
    if (now_ns - strays_watched_ns >= time_slice_ns) {
      strays_watched_ns = now_ns;
      watch_strays();
    }
    if (poll_network_if_nobody_does(now_ns)) acted = true;
    follow_container_limit(now_ns, limit_checked_ns);
    quiet_rounds = acted ? 0 : quiet_rounds + 1;
    if (acted)
      period_ns = period_min_ns;
    else if (quiet_rounds > quiet_rounds_before_backoff)
      period_ns *= 2;
    const std::int64_t longest = idle != 0 || some_half_left ? period_max_with_idle_ns
                                 : round.work_waits          ? period_max_with_waiting_ns
                                                             : period_max_ns;
    period_ns = std::min(period_ns, longest);
    // All idle: nobody needs it now; a look for what begins soon, and one before it rests.
    if (all_idle && !some_half_left && !unsettled)
      sleep_ns = idle_ns == 0 ? period_max_with_idle_ns : idle_before_sleep_ns - idle_ns;
    else
      sleep_ns = std::clamp(round.again_ns - now_ns, period_min_ns, period_ns);
  }
}

}  // namespace gort::sched
