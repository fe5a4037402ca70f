// sysmon: the one thread without a P, which watches those that have one.
//
// It looks every 20 us at first and, while nothing needs it, less and less often: every 10 ms when
// all Ps are busy, every 1 ms when one is idle (a goroutine may be waiting for it, see below). One
// that uses less than half of its CPU may be asleep, so it is looked at again soon, or when its P's
// next timer is due. When all Ps have been idle for 5 ms it sleeps until one is not.
//
// What it does for a busy P:
//   - the same goroutine for 10 ms while others wait: `attention`, so that the next pick lets the
//     queue go before the `next` slot;
//   - something ready but no pick since the last look, while another P is idle: an M is woken, and
//     for the next 10 ms every goroutine readied there wakes one at once (`eager_wake`);
//   - the thread sleeps in the kernel, or has computed for 10 ms, while others wait and no P is
//     idle: its P is given to another M (hand_off.cpp, preempt.cpp);
//   - due timers that nobody fires: `attention`, and an idle M is woken to fire them.
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
#include "os/thread.hpp"
#include "sched/container_limit.hpp"
#include "sched/current.hpp"
#include "sched/hand_off.hpp"
#include "sched/netpoll.hpp"
#include "sched/stack_trim.hpp"
#include "sched/strays.hpp"

namespace gort::sched {

namespace {

constexpr std::int64_t period_min_ns = 20'000;
constexpr std::int64_t period_max_ns = 10'000'000;
constexpr std::int64_t period_max_with_idle_ns = 1'000'000;
constexpr std::int64_t period_max_with_waiting_ns = 2'500'000;
constexpr std::int64_t time_slice_ns = 10'000'000;
constexpr std::int64_t computed_ns = 2'500'000;
constexpr std::int64_t announced_ns = 20'000;
constexpr std::int64_t blocked_ns = 250'000;
// A thread that sleeps in the kernel keeps its P that long if nobody wants it.
constexpr std::int64_t blocked_alone_ns = 20'000'000;
constexpr std::int64_t eager_ns = 10'000'000;
constexpr int quiet_rounds_before_backoff = 50;
// All Ps must have been idle that long before sysmon stops looking.
constexpr std::int64_t idle_before_sleep_ns = 5'000'000;

// What was seen of a P at the last look.
struct watch {
  std::uint32_t tick = 0;
  std::int64_t since_ns = 0;
  std::int64_t eager_until_ns = 0;
  std::int64_t cpu_ns = -1;  // of the holder's thread when this turn was first looked into
  std::int64_t last_cpu_ns = -1;
  std::int64_t last_look_ns = 0;  // when that was
  std::int64_t awake_ns = 0;      // when it was last found to have used its CPU
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
  if (who->announced.load_relaxed() != 0) {
    if (wanted && age_ns >= announced_ns && take_p_of_blocked(each) == taking::done) return true;
    round.again_soon(announced_ns, wanted, next_timer_ns);
    return false;
  }
  const os::thread_handle thread = who->thread.load_relaxed();  // a hint
  const std::int64_t cpu_ns = os::thread_cpu_ns(thread);
  if (seen.cpu_ns < 0) {
    seen.cpu_ns = seen.last_cpu_ns = cpu_ns;
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
  if (wanted && age_ns >= time_slice_ns && cpu_ns - seen.cpu_ns >= computed_ns)
    preempt(each, seen.tick);
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
    seen.cpu_ns = -1;
  }
  const bool has_ready =
      each.queue.size() != 0 || each.queue.has_next() || each.nursery.size() != 0;
  if (same && now_ns - seen.since_ns >= time_slice_ns && has_ready) each.attention.store_relaxed(1);
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
    each.attention.store_relaxed(1);
    if (same && any_idle) {
      wake_if_idle();
      acted = true;
    }
  }
  const bool wanted =
      !any_idle && (has_ready || when <= now_ns || sched.global_size.load_relaxed() != 0);
  round.work_waits = round.work_waits || wanted;
  if (take_or_preempt(each, seen, round, wanted, when)) acted = true;
  return acted;
}

// Sleeps until a P is taken into use [sysmon-2], or it is time to look after stacks.
void sleep_while_idle() noexcept {
  bool dead;
  {
    detail::spin_guard guard(sched.lock);
    if (sched.idle_p_count.load_relaxed() != static_cast<std::uint32_t>(proc_count()) &&
        sched.stop_requested.load_relaxed() == 0)
      return;
    dead = deadlocked_locked();
    if (!dead) sched.sysmon_asleep.store_relaxed(1);  // read after the lock, see [sysmon-2]
  }
  if (dead) report_deadlock();
  if (sched.sysmon_note.sleep(trim_deadline_ns())) return;
  // Time to look after stacks. Acquire-release, as in wake_sysmon(), which may have been faster.
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
  bool any = false;
  while (runnable r = found.pop_front()) {
    submit_global(r);
    any = true;
  }
  return any;
}

// Whether no P has been in use for a while. A server that rests between requests, some thousand
// times a second, would otherwise pay for waking sysmon after each rest, and for its hasty first
// rounds: a third of its CPU time.
bool idle_for_long(std::int64_t now_ns) noexcept {
  static std::uint32_t ticks_seen = 0;
  static std::int64_t idle_since_ns = 0;
  std::uint32_t ticks = 0;
  for (int i = 0; i < proc_count(); ++i) ticks += sched.all_ps[i]->tick.load_relaxed();
  if (ticks != ticks_seen) {
    ticks_seen = ticks;
    idle_since_ns = now_ns;
  }
  return now_ns - idle_since_ns >= idle_before_sleep_ns;
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
    const auto procs = proc_count();
    const std::uint32_t idle = sched.idle_p_count.load_relaxed();
    const bool all_idle = idle == static_cast<std::uint32_t>(procs);
    const bool resting = all_idle && idle_for_long(now_ns);
    const bool stopping = sched.stop_requested.load_relaxed() != 0;
    const bool trimming = !stopping && trim_some_stacks(now_ns, resting);
    if (resting && trimming) {
      sleep_ns = period_ns = period_max_with_idle_ns;
      continue;
    }
    if (resting || stopping) {
      sleep_while_idle();
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
    const std::int64_t longest = idle != 0          ? period_max_with_idle_ns
                                 : round.work_waits ? period_max_with_waiting_ns
                                                    : period_max_ns;
    period_ns = std::min(period_ns, longest);
    sleep_ns = std::clamp(round.again_ns - now_ns, period_min_ns, period_ns);
  }
}

}  // namespace gort::sched
