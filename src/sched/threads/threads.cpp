// Ms: making threads, and what each does first.
//
// Problem: whoever finds an idle P and no idle M may hold spin locks, may be in a signal handler,
// and must not call malloc, whose lock may belong to a thread parked in place [hand-3]. Starting a
// thread does.
//
// So one thread, the starter, does nothing else. It may be held up by malloc; nobody waits for it.
//
// An M ends when its locked goroutine has (lock_thread.cpp), or when it is one idle M too many
// [idle-4]: its thread really exits, thread_local destructors included.
//
// Invariants
//   [threads-1] `m_wanted` is guarded by sched.lock; who raises it from 0 wakes the starter.
//   [threads-2] The record of an M is never freed: p::holder may lead sysmon to one whose thread is
//               gone, or to one that a new thread has taken over. What it reads there is atomic,
//               and only a hint: at worst the wrong thread gets a signal that it ignores.
//   [threads-3] An M that ends is in `ending`, and counts in m_count, until the kernel says that
//               its thread is gone: the deadlock check compares our count with the kernel's, and a
//               destructor of a thread_local may still wake somebody. The starter looks, and has
//               sysmon judge anew. The kernel gives numbers out again: a thread is its number and
//               the time of its start.
//   [threads-4] No more than `max_threads` threads of ours exist, however they came about; the main
//               thread and others of the program do not count. Go: the same.
//   [threads-5] While Ms are wanted, coming or ending the deadlock check gives no answer. So who
//               ends that has sysmon judge anew: it may have gone to sleep meanwhile.
//   [threads-6] An M is `coming` from when it is asked for until it looks for a P, which it does in
//               the same section under sched.lock. While one is coming no other is asked for: what
//               it is for lies where it will look. So stops of the world that follow each other
//               faster than threads are made cost one thread, not one each.
//   [threads-7] Where the system has no more threads for us (a limit of the user or of the cgroup,
//               memory) and some are parked in place, those do instead. For a second no thread is
//               asked for, so the P that it was for goes to the oldest in place, and no more may
//               be in place than half of what there is (in_place.cpp), so that idle Ms remain for
//               goroutines that block. If none is in place, and no M has gone to sleep meanwhile,
//               nobody could go on, and the process ends as Go's does. While a P is idle and no M
//               is, `m_refused` keeps sysmon awake: it sees to what has come, timers and the
//               network too, and that way asks again when the second is over.
//
// Rejected: pthread_join() by the starter: a destructor that never returns would hold it up.
#include <cxxabi.h>
#include <cerrno>
#include <new>
#include <utility>

#include <gort/debug.hpp>
#include <gort/detail/inside.hpp>

#include "base/sanitizer.hpp"
#include "base/short_text.hpp"
#include "os/clock.hpp"
#include "os/cpu_timers.hpp"
#include "os/preempt.hpp"
#include "os/proc.hpp"
#include "os/signals.hpp"
#include "os/thread.hpp"
#include "sched/gmp/current.hpp"
#include "sched/switching/schedule.hpp"
#include "sched/taking/hand_off.hpp"
#include "sched/taking/strays.hpp"
#include "sched/threads/helper.hpp"
#include "sched/threads/lock_thread.hpp"
#include "sched/world/world.hpp"

namespace gort::sched {

namespace {

void find_own_stack(m& here) noexcept {
  const os::stack_range own = os::thread_stack();
  here.stack_low = own.low;
  here.stack_bytes = own.bytes;
}

void m_main(void* raw) {
  m& here = *static_cast<m*>(raw);
  detail::enter_gort();  // until a goroutine's code runs [inside-2]
  os::use_program_mask();
  become_m(here);
  os::set_precise_timers();
  wake_sysmon();  // which may have judged while this thread was half made
  scheduler_loop(here);
  leave_scheduler(here);
  // From here on a plain thread, which its thread_local destructors may find out.
  detail::exit_gort();
}

}  // namespace

void check_thread_count(std::uint32_t existing, std::int64_t limit) noexcept {
  if (existing <= limit) return;
  base::short_text text;
  text << "runtime: program exceeds " << limit << "-thread limit\n";
  constexpr int status = 1;
  report_fatal("thread exhaustion", text.c_str(), status);
}

void cannot_start_thread(std::uint32_t existing, int error) noexcept {
  base::short_text text;
  text << "runtime: failed to create new OS thread (have " << existing
       << " already; errno=" << error << ")\n";
  if (error == EAGAIN) text << "runtime: may need to increase max user processes (ulimit -u)\n";
  report_fatal("newosproc", text.c_str());
}

namespace {

// The one that could not be made. False: nobody else can use the P it was for [threads-7].
bool do_without(m& never_made) noexcept {
  constexpr std::int64_t pause_ns = 1'000'000'000;
  m* resumed;
  {
    detail::spin_guard guard(sched.lock);
    if (sched.in_place.size == 0 && sched.idle_ms == nullptr) return false;
    --sched.m_count;
    sched.m_refused.store_relaxed(1);
    sched.threads_to_be_had = sched.m_count + sched.helper_threads;
    sched.no_thread_before_ns = os::monotonic_ns() + pause_ns;
    has_come_locked(never_made);
    never_made.idle_next = sched.free_ms;
    sched.free_ms = &never_made;
    resumed = resume_on_idle_p_locked();
  }
  if (resumed != nullptr) resumed->wake_note.wake();
  return true;
}

void start_m() noexcept {
  m* fresh;
  std::uint32_t existing;
  std::int64_t limit;
  {
    detail::spin_guard guard(sched.lock);
    fresh = sched.free_ms;
    if (fresh != nullptr) sched.free_ms = fresh->idle_next;
    ++sched.m_count;  // too early [dead-1], but one is wanted [threads-5]
    existing = sched.m_count + sched.helper_threads;
    limit = sched.max_threads;
  }
  check_thread_count(existing, limit);
  if (fresh == nullptr) fresh = make_m();
  fresh->coming = true;  // nobody else knows it
  base::short_text name;
  name << "gort-m" << fresh->index;
  const int error = os::start_thread(m_main, fresh, name.c_str(), thread_stack_bytes);
  if (error != 0 && !do_without(*fresh)) cannot_start_thread(existing - 1, error);
}

// Its number may have been given to another thread meanwhile, which lives on [threads-3].
bool still_exists(const m& ended) noexcept {
  const os::thread_handle thread = ended.thread.load_relaxed();
  if (!os::thread_exists(thread)) return false;
  const std::uint64_t since = os::thread_start_ticks(thread.id);
  return since == 0 || since == ended.start_ticks;  // 0: the system does not tell
}

// True: some are still there.
bool bury_the_ended() noexcept {
  m* list;
  {
    detail::spin_guard guard(sched.lock);
    list = sched.ending;
  }
  // Only this thread takes any off, and new ones come in front.
  std::uint32_t buried = 0;
  bool rest = false;
  while (list != nullptr) {
    m* each = list;
    list = each->idle_next;
    if (still_exists(*each)) {
      rest = true;
      continue;
    }
    detail::spin_guard guard(sched.lock);
    m** at = &sched.ending;
    while (*at != each) at = &(*at)->idle_next;
    *at = each->idle_next;
    each->idle_next = sched.free_ms;
    sched.free_ms = each;
    --sched.m_count;
    ++buried;
  }
  if (buried != 0) wake_sysmon();  // [threads-3]
  return rest;
}

void keep_signal_stack(m& here, os::memory_range what) noexcept {
  const detail::spin_guard guard(sched.lock);
  here.signal_stack = what;
}

}  // namespace

void for_each_signal_stack(void (*f)(const m&, void*), void* argument) noexcept {
  const detail::spin_guard guard(sched.lock);
  for (const m* each = sched.all_ms; each != nullptr; each = each->all_next)
    if (each->signal_stack.low != each->signal_stack.high) f(*each, argument);
}

m* make_m() noexcept {
  static detail::atomic<int> made;
  m* fresh = new (std::nothrow) m;
  if (fresh == nullptr) fatal("gort: out of memory for a thread's record");
  fresh->index = made.fetch_add_relaxed(1);
  detail::spin_guard guard(sched.lock);
  fresh->all_next = sched.all_ms;
  sched.all_ms = fresh;
  return fresh;
}

void become_m(m& here) noexcept {
  here.exceptions = reinterpret_cast<exception_globals*>(abi::__cxa_get_globals());
  here.errno_address = &errno;
  here.inside = own_inside_count();
  here.heap_cache = own_heap_cache();
  here.thread.store_relaxed(os::this_thread());  // [threads-2]
  find_own_stack(here);
  if (!os::use_alternate_stack()) fatal("gort: out of memory for a signal stack");
  keep_signal_stack(here, os::own_alternate_stack());
  here.program_mask = os::open_signals_of_goroutines();
  here.samples.cpu_since_ns.store_relaxed(0);
  here.samples.cpu_own_since_ns.store_relaxed(0);
  here.samples.cpu_account.store_relaxed(nullptr);
  here.ends = false;
  here.borrowed = borrowed::no;
  here.locked = nullptr;
  here.g0.kind = g_kind::scheduler;
  here.g0.m = &here;
  here.g0.tsan_fiber = base::fiber_current();
  here.current.store_relaxed(&here.g0);
  watch_for_exit();
  arch::store_current_g(&here.g0);
  os::sample_this_thread();
}

void leave_scheduler(m& here) noexcept {
  here.start_ticks = os::thread_start_ticks(os::thread_id());  // [threads-3]
  arch::store_current_g(nullptr);
  os::restore_signals(here.program_mask);
  keep_signal_stack(here, {});
  os::drop_alternate_stack();
  passed_on how;
  bool wake_starter = false;
  {
    detail::spin_guard guard(sched.lock);
    here.samples.cpu_since_ns.store_relaxed(0);  // its clock goes with the thread
    drop_stray_locked(here);
    if (p* mine = here.held; mine != nullptr) {
      let_go_of_p_locked(here);
      pass_on_locked(*mine, how);
    }
    here.heap_cache = nullptr;  // which goes with the thread
    const bool lives_on = here.borrowed != borrowed::no;
    m*& list = lives_on ? sched.free_ms : sched.ending;
    here.idle_next = list;
    list = &here;
    if (lives_on)
      --sched.m_count;
    else
      wake_starter = true;
  }
  how.wake();
  if (wake_starter) wake_starter_thread();
}

std::int64_t threads_to_be_had_locked() noexcept {
  if (sched.no_thread_before_ns != 0 && os::monotonic_ns() >= sched.no_thread_before_ns) {
    sched.no_thread_before_ns = 0;
    sched.threads_to_be_had = no_thread_limit;
  }
  return sched.threads_to_be_had;
}

bool want_m_locked() noexcept {
  if (sched.m_coming != 0) return false;
  if (threads_to_be_had_locked() != no_thread_limit) {
    sched.m_refused.store_relaxed(1);
    return false;
  }
  ++sched.m_coming;
  return sched.m_wanted++ == 0;  // else the starter has not counted the last one as made
}

bool has_come_locked(m& here) noexcept {
  if (!here.coming) return false;
  here.coming = false;
  --sched.m_coming;
  return true;
}

namespace {

bool ms_are_wanted() noexcept {
  detail::spin_guard guard(sched.lock);
  return sched.m_wanted != 0;
}

}  // namespace

void wake_starter_thread() noexcept { sched.starter_note.wake(); }

void starter_main(void*) noexcept {
  constexpr std::int64_t first_look_ns = 50'000, longest_ns = 100'000'000;
  std::int64_t pause_ns = first_look_ns;
  bool rest = false;
  for (;;) {
    const bool asked = sched.starter_note.sleep(rest ? os::monotonic_ns() + pause_ns : -1);
    pause_ns = asked ? first_look_ns : pause_ns < longest_ns ? pause_ns * 2 : longest_ns;
    const bool wanted = ms_are_wanted();
    for (bool more = wanted; more;) {
      start_m();
      detail::spin_guard guard(sched.lock);
      more = --sched.m_wanted != 0;
    }
    make_helpers();
    rest = bury_the_ended();
    if (wanted) wake_sysmon();  // [threads-5]
  }
}

}  // namespace gort::sched

namespace gort::debug {

std::int64_t set_max_threads(std::int64_t count) {
  sched::start_runtime();
  constexpr std::int64_t most = 0x7fffffff;
  std::int64_t previous;
  std::uint32_t existing;
  if (count > most) count = most;
  {
    detail::spin_guard guard(sched::sched.lock);
    previous = std::exchange(sched::sched.max_threads, count);
    existing = sched::sched.m_count + sched::sched.helper_threads;
  }
  sched::check_thread_count(existing, count);
  return previous;
}

}  // namespace gort::debug
