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
//               sysmon judge anew.
//   [threads-4] No more than `max_threads` threads of ours exist, however they came about; the main
//               thread and others of the program do not count. Go: the same.
//   [threads-5] While Ms are wanted or ending the deadlock check gives no answer. The new M may
//   have
//               found nothing, and sysmon gone to sleep, before the starter has counted it as made:
//               so it has sysmon judge anew.
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
#include "os/preempt.hpp"
#include "os/thread.hpp"
#include "sched/current.hpp"
#include "sched/hand_off.hpp"
#include "sched/lock_thread.hpp"
#include "sched/schedule.hpp"
#include "sched/strays.hpp"

namespace gort::sched {

namespace {

constexpr std::size_t m_stack_bytes = 256 << 10;

void find_own_stack(m& here) noexcept {
  const os::stack_range own = os::thread_stack();
  here.stack_low = own.low;
  here.stack_bytes = own.bytes;
}

void m_main(void* raw) {
  m& here = *static_cast<m*>(raw);
  detail::enter_gort();  // until a goroutine's code runs [inside-2]
  become_m(here);
  os::set_precise_timers();
  wake_sysmon();  // which may have judged while this thread was half made
  scheduler_loop(here);
  leave_scheduler(here);
  // From here on a plain thread, which its thread_local destructors may find out.
  detail::exit_gort();
}

// [threads-4]. Does not return if there are too many.
void check_thread_count(std::uint32_t existing, std::int64_t limit) noexcept {
  if (existing <= limit) return;
  base::short_text text;
  text << "runtime: program exceeds " << limit << "-thread limit\n";
  constexpr int status = 1;
  report_fatal("thread exhaustion", text.c_str(), status);
}

}  // namespace

void cannot_start_thread(std::uint32_t existing, int error) noexcept {
  base::short_text text;
  text << "runtime: failed to create new OS thread (have " << existing
       << " already; errno=" << error << ")\n";
  if (error == EAGAIN) text << "runtime: may need to increase max user processes (ulimit -u)\n";
  report_fatal("newosproc", text.c_str());
}

namespace {

void start_m() noexcept {
  m* fresh;
  std::uint32_t existing;
  std::int64_t limit;
  {
    detail::spin_guard guard(sched.lock);
    fresh = sched.free_ms;
    if (fresh != nullptr) sched.free_ms = fresh->idle_next;
    ++sched.m_count;
    existing = sched.m_count + sched.helper_threads;
    limit = sched.max_threads;
  }
  check_thread_count(existing, limit);
  if (fresh == nullptr) fresh = make_m();
  base::short_text name;
  name << "gort-m" << fresh->index;
  const int error = os::start_thread(m_main, fresh, name.c_str(), m_stack_bytes);
  if (error != 0) cannot_start_thread(existing - 1, error);
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
    if (os::thread_exists(each->thread.load_relaxed())) {
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

}  // namespace

m* make_m() noexcept {
  static detail::atomic<int> made;
  m* fresh = new (std::nothrow) m;
  if (fresh == nullptr) fatal("gort: out of memory for a thread's record");
  fresh->index = made.fetch_add_relaxed(1);
  return fresh;
}

void become_m(m& here) noexcept {
  here.exceptions = reinterpret_cast<exception_globals*>(abi::__cxa_get_globals());
  here.errno_address = &errno;
  here.inside = own_inside_count();
  here.thread.store_relaxed(os::this_thread());  // [threads-2]
  find_own_stack(here);
  if (!os::use_alternate_stack()) fatal("gort: out of memory for a signal stack");
  here.ends = false;
  here.borrowed = borrowed::no;
  here.locked = nullptr;
  here.g0.kind = g_kind::scheduler;
  here.g0.m = &here;
  here.g0.tsan_fiber = base::fiber_current();
  here.current = &here.g0;
  arch::store_current_g(&here.g0);
}

void leave_scheduler(m& here) noexcept {
  arch::store_current_g(nullptr);
  os::drop_alternate_stack();
  passed_on how;
  bool wake_starter = false;
  {
    detail::spin_guard guard(sched.lock);
    drop_stray_locked(here);
    if (p* mine = here.held; mine != nullptr) {
      here.hold_none();
      pass_on_locked(*mine, how);
    }
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

bool want_m_locked() noexcept {
  if (sched.m_wanted != 0) return false;
  sched.m_wanted = 1;
  return true;
}

bool want_ms_locked(std::uint32_t count) noexcept {
  const bool wake = sched.m_wanted == 0 && count != 0;
  sched.m_wanted += count;
  return wake;
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
