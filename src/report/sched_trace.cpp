// GODEBUG=schedtrace=N: a line about the scheduler every N ms, as Go 1.27 prints it, on standard
// error; scheddetail=1: all Ps, Ms and goroutines with it. Printed by sysmon, so it comes whatever
// the others do, and by who reports a panic or a fatal error.
//
// Numbers are looked at while everything goes on, so they need not fit together. For the goroutines
// of scheddetail the world is stopped, each time, which a goroutine that cannot be preempted holds
// up for a second.
#include <cstdint>

#include <gort/detail/wait_reason.hpp>

#include "base/env.hpp"
#include "base/sanitizer.hpp"
#include "os/clock.hpp"
#include "report/sched_trace.hpp"
#include "report/text_sink.hpp"
#include "sched/gmp/inspect.hpp"
#include "sched/gmp/proc.hpp"

namespace gort::report {

namespace {

using sched::g;
using sched::g_status;
using sched::m;
using sched::p;
using sched::p_status;

constexpr std::int64_t ms = 1'000'000;

struct settings {
  const std::int64_t period_ns = base::godebug("schedtrace", 0) * ms;
  const bool detail = base::godebug("scheddetail", 0) > 0;
  const std::int64_t start_ns = os::monotonic_ns();
};

const settings& asked_for() noexcept {
  static const settings from_environment;
  return from_environment;
}

std::uint64_t waiting_at(const p& each) noexcept {
  return each.queue.size() + each.nursery.size() + (each.queue.has_next() ? 1 : 0);
}

const char* yes_or_no(bool yes) noexcept { return yes ? "true" : "false"; }

void print_or_nil(text_sink& out, const char* name, std::uint64_t n, bool is_there) noexcept {
  out << name;
  if (is_there)
    out << n;
  else
    out << "nil";
}

// Go's numbers.
std::uint64_t number_of(p_status status) noexcept {
  switch (status) {
    case p_status::idle: return 0;
    case p_status::running: return 1;
    case p_status::stopped: return 3;
    case p_status::dead: break;
  }
  return 4;
}
std::uint64_t number_of(g_status status) noexcept {
  switch (status) {
    case g_status::idle: return 0;
    case g_status::runnable: return 1;
    case g_status::running: return 2;
    case g_status::syscall: return 3;
    case g_status::waiting: return 4;
    case g_status::dead: break;
  }
  return 6;
}

void print_line(text_sink& out, std::int64_t now_ns) noexcept {
  auto& all = sched::sched;
  const int procs = sched::proc_count();
  std::uint64_t threads;
  std::uint64_t idle_threads;
  std::uint64_t queued;
  {
    detail::spin_guard guard(all.lock);
    threads = all.m_count + all.helper_threads;
    idle_threads = all.idle_m_count;
    queued = all.global_queue.size + all.held_back.size;
  }
  out << "SCHED " << static_cast<std::uint64_t>((now_ns - asked_for().start_ns) / ms)
      << "ms: gomaxprocs=" << static_cast<std::uint64_t>(procs)
      << " idleprocs=" << std::uint64_t{all.idle_p_count.load_relaxed()} << " threads=" << threads
      << " spinningthreads=" << std::uint64_t{all.spinning.load_relaxed()}
      << " needspinning=0 idlethreads=" << idle_threads << " runqueue=" << queued;
  if (asked_for().detail) {
    out << " gcwaiting=" << yes_or_no(all.stop_requested.load_relaxed() != 0)
        << " nmidlelocked=0 stopwait=0 sysmonwait="
        << yes_or_no(all.sysmon_asleep.load_relaxed() != 0) << "\n";
    return;
  }
  out << " [ ";
  for (int i = 0; i < procs; ++i) out << waiting_at(*all.all_ps[i]) << " ";
  out << "] schedticks=[ ";
  for (int i = 0; i < procs; ++i) out << std::uint64_t{all.all_ps[i]->tick.load_relaxed()} << " ";
  out << "]\n";
}

void print_proc(text_sink& out, p& each) noexcept {
  const m* held_by = nullptr;
  p_status status;
  {
    detail::spin_guard guard(sched::sched.lock);
    status = each.status;
    if (status == p_status::running) held_by = each.holder.load_relaxed();
  }
  std::uint64_t timers;
  {
    detail::spin_guard guard(each.timers.lock);
    timers = each.timers.size;
  }
  out << "  P" << static_cast<std::uint64_t>(each.index) << ": status=" << number_of(status)
      << " schedtick=" << std::uint64_t{each.tick.load_relaxed()}
      << " syscalltick=" << each.announced_calls.load_relaxed();
  print_or_nil(out, " m=", held_by == nullptr ? 0 : static_cast<std::uint64_t>(held_by->index),
               held_by != nullptr);
  out << " runqsize=" << waiting_at(each) << " gfreecnt=0 timerslen=" << timers << "\n";
}

struct m_hint {
  std::uint64_t runs = 0, serves = 0;  // ids of goroutines; 0: none
  bool spins = false;
};
// What only its own thread knows for sure: a goroutine may just be ending, and another one be
// beginning in its place, which is always that of some goroutine.
[[gnu::noinline]] GORT_UNSANITIZED m_hint look_at(const m& each) noexcept {
  m_hint seen;
  seen.spins = each.spinning;
  if (const g* current = each.current.load_relaxed(); current != nullptr) seen.runs = current->id;
  if (const g* locked = each.locked; locked != nullptr) seen.serves = locked->id;
  return seen;
}

void print_threads(text_sink& out) noexcept {
  const m* next;
  {
    detail::spin_guard guard(sched::sched.lock);
    next = sched::sched.all_ms;
  }
  while (next != nullptr) {
    const m& each = *next;
    const p* held;
    {
      detail::spin_guard guard(sched::sched.lock);
      next = each.all_next;
      held = each.held;
    }
    const m_hint seen = look_at(each);
    print_or_nil(out << "  M" << static_cast<std::uint64_t>(each.index),
                 ": p=", held == nullptr ? 0 : static_cast<std::uint64_t>(held->index),
                 held != nullptr);
    print_or_nil(out, " curg=", seen.runs, seen.runs != 0);
    out << " mallocing=0 throwing=0 preemptoff= locks=0 dying=0 spinning=" << yes_or_no(seen.spins)
        << " blocked=" << yes_or_no(held == nullptr);
    print_or_nil(out, " lockedg=", seen.serves, seen.serves != 0);
    out << "\n";
  }
}

void print_goroutine_line(text_sink& out, const sched::goroutine_view& view) noexcept {
  out << "  G" << view.id << ": status=" << number_of(view.status) << "("
      << wait_reason_text(view.reason) << ")";
  print_or_nil(out, " m=", view.m_index < 0 ? 0 : static_cast<std::uint64_t>(view.m_index),
               view.m_index >= 0);
  print_or_nil(out, " lockedm=", view.m_index < 0 ? 0 : static_cast<std::uint64_t>(view.m_index),
               view.is_locked && view.m_index >= 0);
  out << "\n";
}

// World stopped.
void print_goroutines(text_sink& out, sched::dump_stop stopped) noexcept {
  sched::for_each_goroutine(
      [](const sched::goroutine_view& view, void* raw) {
        print_goroutine_line(*static_cast<text_sink*>(raw), view);
      },
      &out, stopped);
}

void print_details(text_sink& out) noexcept {
  const int procs = sched::proc_count();
  for (int i = 0; i < procs; ++i) print_proc(out, *sched::sched.all_ps[i]);
  print_threads(out);
  const sched::dump_stop stopped = sched::stop_the_world_for_dump();
  if (stopped == sched::dump_stop::none) return;  // somebody else is at it
  print_goroutines(out, stopped);
  sched::start_the_world_after_dump();
}

}  // namespace

void print_sched_trace_of_crash(text_sink& out) noexcept {
  if (asked_for().period_ns <= 0 || sched::current_is_inside()) return;
  print_line(out, os::monotonic_ns());
}

}  // namespace gort::report

namespace gort::sched {

std::int64_t print_sched_trace(std::int64_t now_ns) noexcept {
  const std::int64_t start_ns = report::asked_for().start_ns;
  static std::int64_t next_ns = start_ns;
  const std::int64_t period_ns = report::asked_for().period_ns;
  if (period_ns <= 0) return -1;
  if (now_ns < start_ns) now_ns = start_ns;  // the first time: that was asked for after the clock
  if (now_ns < next_ns) return next_ns;
  next_ns = now_ns + period_ns;
  report::text_sink out(os::stderr_fd);
  report::print_line(out, now_ns);
  if (report::asked_for().detail) report::print_details(out);
  return next_ns;
}

}  // namespace gort::sched
