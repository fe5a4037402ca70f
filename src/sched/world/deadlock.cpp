// Is everything asleep for good?
//
// Problem: to say "deadlock" of a program that is none kills it; not to say it is silence. Whoever
// could still wake somebody counts: Ps in use, timers, sockets, threads in user code, and threads
// that gort has never seen.
//
// Invariants
//   [dead-1] Known are our own threads and the plain ones asleep in park(); the kernel says how
//            many there are. A thread is counted as known when it exists and not before: one
//            counted early makes up for one that we do not know. (Ms that are being made are
//            counted early; while one is, there is no answer [threads-5].)
//   [dead-2] Whatever takes the last reason away has the check made again, under sched.lock: an M
//   or
//            a plain thread that goes to sleep, the starter, sysmon. The end of a thread that we do
//            not know tells nobody. So while such threads are all that speaks against a deadlock,
//            sysmon looks again, after 10 ms at first, then twice as late each time while their
//            number stays the same, every 10 s at last. (A program that rests beside timers or
//            sockets is not looked at.)
//   [dead-3] In a frozen world [freeze-1] goroutines, timers and sockets stand still. There a
//            deadlock is a plain thread that waits, when all threads are known; unless a thread may
//            return from a library's call and wake somebody on its way into gort, or somebody has
//            the turn to stop the world (and has the check made when he leaves it).
#include <algorithm>
#include <utility>

#include <gort/runtime.hpp>

#include "base/sanitizer.hpp"
#include "os/clock.hpp"
#include "os/proc.hpp"
#include "sched/gmp/current.hpp"
#include "sched/switching/netpoll.hpp"
#include "sched/switching/schedule.hpp"
#include "sched/taking/strays.hpp"
#include "sched/world/deadlock.hpp"
#include "sched/world/world.hpp"

namespace gort::sched {

namespace {

// Guarded by sched.lock [dead-2].
struct {
  std::int64_t when_ns = -1;  // of the next look; -1: none
  std::int64_t pause_ns = 0;
  std::uint32_t threads = 0;  // that there were when the pause was chosen
} next_look;

constexpr std::int64_t first_wait_ns = 10'000'000;
constexpr std::int64_t longest_wait_ns = 10'000'000'000;

bool all_asleep_locked() noexcept {
  const auto procs = static_cast<std::uint32_t>(proc_count());
  if (sched.idle_p_count.load_relaxed() != procs || sched.spinning.load_relaxed() != 0 ||
      sched.global_size.load_relaxed() != 0 || sched.half_left.size != 0 ||  // [half-2]
      have_strays_locked() || io_waits() != 0 || earliest_timer() != detail::timer_heap::no_timer)
    return false;
  return runtime::num_goroutine() != 0 || sched.plain_parked != 0;
}

bool all_frozen_locked() noexcept {  // [dead-3]
  return sched.still.load_relaxed() != still::no && sched.plain_parked != 0 &&
         sched.stop_waiting == 0 && strays_are_stopped_locked() && !world_turn_is_taken();
}

}  // namespace

verdict judge_locked() noexcept {
  // A stop that is in progress ends; who starts the world has sysmon judge anew.
  const bool stopped = sched.stop_requested.load_relaxed() != 0;
  if (sched.m_wanted != 0 || sched.m_coming != 0 || sched.ending != nullptr ||
      sched.outside_wakers != 0 || !(stopped ? all_frozen_locked() : all_asleep_locked())) {
    next_look.when_ns = -1;
    return verdict::alive;
  }
  // ThreadSanitizer has a thread of its own.
  const std::uint32_t known =
      sched.m_count + sched.helper_threads + sched.plain_parked + (base::with_tsan ? 1 : 0);
  const auto threads = static_cast<std::uint32_t>(os::thread_count());
  if (threads == known) return verdict::deadlock;
  const std::int64_t now_ns = os::monotonic_ns();
  if (std::exchange(next_look.threads, threads) != threads)
    next_look.pause_ns = first_wait_ns;
  else if (next_look.when_ns >= 0 && now_ns < next_look.when_ns)
    return verdict::looked_at;
  else
    next_look.pause_ns = std::clamp(2 * next_look.pause_ns, first_wait_ns, longest_wait_ns);
  next_look.when_ns = now_ns + next_look.pause_ns;
  return verdict::up_to_others;
}

std::int64_t next_verdict_ns() noexcept {
  detail::spin_guard guard(sched.lock);
  return next_look.when_ns;
}

void report_deadlock() noexcept {
  switch (sched.still.load_relaxed()) {  // read again: it changes rarely, and not back
    case still::for_good:
      report_fatal(
          "all goroutines are asleep - deadlock!",
          "gort: a thread waits after exit() has begun, or main has returned: goroutines, timers "
          "and sockets stand still\n");
    case still::until_run:
      report_fatal(
          "all goroutines are asleep - deadlock!",
          "gort: a thread waits after run() has returned: goroutines, timers and sockets stand "
          "still until the next run()\n");
    case still::no: break;
  }
  fatal(sched.main_goexited.load_relaxed() != 0
            ? "no goroutines (main called runtime.Goexit) - deadlock!"
            : "all goroutines are asleep - deadlock!");
}

}  // namespace gort::sched
