// The end: run() has returned, or exit() was called.
//
// Problem: what comes now (the rest of main, destructors of its objects and of static ones) takes
// the world apart that goroutines run in. In Go the process is simply gone. Here they must stand
// still: those at gort, those that compute, those in a library's call that may return at any time.
// And what stands still may hold a lock that destructors need: malloc's, or one of the program.
//
// Invariants
//   [freeze-1] `still` says for how long: until the next run(), or for good, from the first of what
//              exit() calls on. The world is stopped all the while. It is written by who has the
//              turn to stop the world, and never changes back from for_good.
//   [freeze-2] Goroutines get 50 ms to reach gort. Those that compute on are parked in place, with
//              their P if they have one, and stay so. None of them is inside malloc or another
//              part of the C library then (frames tell), nor on its way out of a function by an
//              exception: such a one is let go for a moment and pressed again. After half a second
//              it is kept where it is, also when the world is stopped once more (only who has come
//              from a call since then is let go). Nobody goes on unwatched: who is let go is
//              pressed until it stands, or until that has been tried for long.
//   [freeze-3] Until the next run(), those that sleep in a library's call are left alone, as by any
//              stop [stray-3]: one that returns goes on until it waits or yields in gort. For
//              good, they are signaled: the handler does not return, whatever the call waits for.
//              So nothing of gort runs user code while static destructors do.
//   [freeze-4] One that stands still may hold a lock of the program. While the thread that ended
//              run(), or called exit(), sleeps for a lock, sysmon lets those parked in place go,
//              one after another for a moment, at growing intervals. Nobody can tell such a sleep
//              from another for a futex; so they may go on a bit while that thread waits for
//              something else.
//   [freeze-5] A panic or a fatal error that is being reported comes first: run() and exit() wait
//              for it to end the process. Its thread is not kept in place.
//   [freeze-6] The thread that calls exit() is a plain one from then on, if a goroutine did: its
//              waits are a thread's, with timeouts that work; if nobody can end one, that is a
//              deadlock [dead-3]. The goroutine has run for the last time.
//   [freeze-7] exit() first runs the thread_local destructors of its thread. One of ours, on each
//              thread that has met gort, then moves the freeze to the front of the line: before
//              the destructors of what was made after the runtime's start. (A thread that has not
//              comes to it later, where the start of the runtime has left it.)
//
// Rejected: freezing only at exit(): objects of main die before that. Leaving alone what computes:
// it uses what is destroyed. Parking wherever a thread is: free() in a destructor then waits for
// ever. Asking glibc which arena is locked: no interface. Running the destructors of goroutines: Go
// does not, and they may wait for each other.
#include <algorithm>
#include <utility>

#include <gort/detail/park.hpp>

#include "os/at_exit.hpp"
#include "os/clock.hpp"
#include "os/proc.hpp"
#include "os/thread.hpp"
#include "record/pauses.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/fork.hpp"
#include "sched/switching/schedule.hpp"
#include "sched/taking/hand_off.hpp"
#include "sched/taking/strays.hpp"
#include "sched/world/world.hpp"

namespace gort::sched {

namespace {

constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t at_gort_ns = 50 * ms;
constexpr std::int64_t at_good_places_ns = 500 * ms;
constexpr std::int64_t once_more_ns = 10 * ms;  // the same for those let go later

// Who ended run() or called exit() [freeze-4], and how often that was; written with the turn.
detail::atomic<os::thread_handle> ender;
detail::atomic<std::uint32_t> freezes;
detail::atomic<std::uint32_t> ender_parks;  // it sleeps in gort; a hint

[[noreturn]] void sleep_forever() noexcept {
  for (;;) os::sleep_ns(1'000 * ms);
}

// [freeze-2]. The parked goroutine's M's exception state lies still with it.
bool at_bad_place(const m& parked) noexcept {
  if (parked.kept.load_relaxed()) return false;
  if (parked.exceptions->uncaught != 0) return true;
  if (parked.parked_asleep) return false;
  return may_hold_library_locks(view_of_parked(*parked.current.load_relaxed()));
}

// [freeze-2]. World stopped, has the turn. True: some were there, and go on.
bool let_those_at_bad_places_go() noexcept {
  bool any = false;
  for (std::size_t n = 0;;) {
    m* each = parked_in_place(n);
    if (each == nullptr) return any;
    if (at_bad_place(*each)) {
      let_go(*each);
      any = true;
    } else {
      ++n;
    }
  }
}

// Of those that are parked in place; written by who has the turn.
void keep_all(bool kept) noexcept {
  std::size_t n = 0;
  while (m* each = parked_in_place(n++)) each->kept.store_relaxed(kept);
}

}  // namespace

void let_user_code_go() noexcept {
  {
    detail::spin_guard guard(sched.lock);
    sched.stop_in_place = false;  // a signal that is still on its way must not park anybody
  }
  while (m* each = parked_in_place(0)) let_go(*each);
}

namespace {

// Has the turn. Parks everything in place until the deadline.
void press(std::int64_t deadline_ns, still for_how_long) noexcept {
  constexpr std::int64_t moment_ns = 20'000;
  const how_to_stop how =
      for_how_long == still::for_good ? how_to_stop::in_place_forever : how_to_stop::in_place;
  for (;;) {
    stop_all(deadline_ns, how);
    if (os::monotonic_ns() >= deadline_ns) return keep_all(true);
    if (!let_those_at_bad_places_go()) return;
    os::sleep_ns(moment_ns);
  }
}

void freeze(still for_how_long) noexcept {
  if (report_is_under_way()) sleep_forever();  // [freeze-5]
  enter_world_turn();
  if (sched.still.load_relaxed() == still::for_good) sleep_forever();  // another thread is at it
  bool reported;
  {
    const detail::inside_gort inside;
    const std::int64_t now_ns = os::monotonic_ns();
    if (sched.still.load_relaxed() == still::no)
      stop_all(now_ns + at_gort_ns, how_to_stop::at_gort);
    keep_all(false);  // since an earlier end
    if (preemption_is_on() || for_how_long == still::for_good)
      press(os::monotonic_ns() + at_good_places_ns, for_how_long);
    reported = report_is_under_way();  // one that is parked has said so before
    if (reported) {
      let_user_code_go();
    } else {
      sched.still.store_relaxed(for_how_long);
      ender.store_relaxed(os::this_thread());
      freezes.store_release(freezes.load_relaxed() + 1);  // pairs with look_after_frozen()
    }
    leave_world_turn();
  }
  if (reported) sleep_forever();
  wake_sysmon();
}

// [freeze-6]. Nothing for a plain thread.
void leave_goroutine() noexcept {
  m* here = current_m();
  if (here == nullptr) return;
  passed_on how;
  {
    detail::spin_guard guard(sched.lock);
    drop_stray_locked(*here);
    if (p* mine = here->held; mine != nullptr) {
      let_go_of_p_locked(*here);
      pass_on_locked(*mine, how);
    }
    --sched.m_count;
  }
  how.wake();
  arch::store_current_g(nullptr);
}

void at_exit() noexcept {
  static detail::atomic<int> by_thread;
  int nobody = 0;
  const int self = os::thread_id();
  if (!by_thread.cas_acq_rel(nobody, self)) {  // pairs with itself: one thread exits
    if (nobody == self) return;                // moved to the front once more
    sleep_forever();
  }
  leave_goroutine();
  freeze(still::for_good);
}

// Its destructor runs when the thread ends, or first of all when it calls exit().
struct end_of_thread {
  bool watched = false;
  ~end_of_thread() {
    if (in_forked_child())
      prepare_exit_of_forked_child();
    else
      os::call_first_at_exit(at_exit);
  }
};
thread_local end_of_thread of_this_thread;

}  // namespace

sleep_in_park::sleep_in_park() noexcept {
  if (sched.still.load_relaxed() == still::no || ender.load_relaxed().id != os::thread_id()) return;
  counts_ = true;
  ender_parks.store_relaxed(1);
}

sleep_in_park::~sleep_in_park() {
  if (counts_) ender_parks.store_relaxed(0);
}

void press_those_at_bad_places() noexcept {
  if (let_those_at_bad_places_go())
    press(os::monotonic_ns() + once_more_ns, sched.still.load_relaxed());
}

void prepare_exit() noexcept { os::call_first_at_exit(at_exit); }

void watch_for_exit() noexcept { of_this_thread.watched = true; }  // which constructs it

void freeze_until_run() noexcept { freeze(still::until_run); }

bool frozen_after_run() noexcept { return sched.still.load_relaxed() != still::no; }  // a hint

void thaw_the_world() noexcept {
  // Only who freezes thaws, and one run() at a time.
  if (sched.still.load_relaxed() == still::no) return;
  enter_world_turn();
  if (sched.still.load_relaxed() == still::for_good)
    fatal("gort: run() called after exit() has begun, or main has returned");
  detail::enter_gort();  // start_the_world() leaves
  sched.still.store_relaxed(still::no);
  record::forget_pause();
  start_the_world();
}

namespace {

// Lets those in place go, one at a time, until the thread that waits has got its lock [freeze-4].
// Has the turn.
void relent(const os::thread_handle& waiting, still for_how_long) noexcept {
  static std::size_t next = 0;
  constexpr std::int64_t moment_ns = 200'000;
  constexpr int at_most = 16;
  for (int i = 0; i < at_most; ++i) {
    m* who = parked_in_place(next++);
    if (who == nullptr) {
      next = 0;
      return;
    }
    const std::int64_t cpu_ns = os::thread_cpu_ns(waiting);
    let_go(*who);
    os::sleep_ns(moment_ns);
    press(os::monotonic_ns() + once_more_ns, for_how_long);
    if (os::thread_cpu_ns(waiting) != cpu_ns) return;
  }
}

}  // namespace

std::int64_t look_after_frozen() noexcept {
  constexpr std::int64_t first_ns = 10 * ms, longest_ns = 1'000 * ms;
  static std::uint32_t seen = 0;
  static std::int64_t pause_ns = first_ns;
  static std::int64_t cpu_ns = -1;
  static std::int64_t look_ns = 0;
  const std::uint32_t now = freezes.load_acquire();  // pairs with freeze()
  const enum still how = sched.still.load_relaxed();
  if (how == still::no || parked_in_place(0) == nullptr) return -1;
  const std::int64_t now_ns = os::monotonic_ns();
  if (std::exchange(seen, now) != now) {
    pause_ns = first_ns;
    look_ns = now_ns + first_ns;
  }
  if (now_ns < look_ns) return look_ns;
  const os::thread_handle waiting = ender.load_relaxed();
  // In this order: one that has come from park() or goes there meanwhile has run.
  const bool sleeps = os::sleeps_in_futex(waiting.id) && ender_parks.load_relaxed() == 0;
  const std::int64_t used_ns = os::thread_cpu_ns(waiting);
  const bool has_run = std::exchange(cpu_ns, used_ns) != used_ns;
  if (sleeps && !has_run && try_enter_world_turn()) {
    const detail::inside_gort inside;
    if (sched.still.load_relaxed() == how) relent(waiting, how);
    leave_world_turn();
  }
  pause_ns = sleeps && has_run ? first_ns : std::min(2 * pause_ns, longest_ns);
  return look_ns = now_ns + pause_ns;
}

}  // namespace gort::sched
