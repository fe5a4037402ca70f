#include "sched/gmp/census.hpp"

#include <gort/runtime.hpp>

#include "os/clock.hpp"
#include "sched/gmp/proc.hpp"

namespace gort::sched {

namespace {

// Time for which Ps existed and were idle, added up until `since_ns`; guarded by sched.lock. (Ps
// that a stop of the world has taken out of circulation are not idle.)
struct {
  std::int64_t since_ns = 0;
  std::uint64_t procs_ns = 0;
  std::uint64_t idle_ns = 0;
} proc_time;

std::uint64_t not_negative(std::int64_t n) noexcept {
  return n < 0 ? 0 : static_cast<std::uint64_t>(n);
}

// Hints, all of them: its holder goes on.
void add_p(census& to, const p& each) noexcept {
  to.runnable += each.queue.size() + (each.queue.has_next() ? 1 : 0) + each.nursery.size();
  to.announced_calls += each.announced_calls.load_relaxed();
  const m* who = each.holder.load_relaxed();  // under sched.lock: it holds it, or stands still
  if (each.status != p_status::running || who == nullptr) return;
  if (who->in_announced_call())
    ++to.not_in_go;
  else if (who->current.load_relaxed() != &who->g0)
    ++to.running;
}

}  // namespace

census take_census() noexcept {
  census out;
  const detail::inside_gort inside;
  // What is subtracted first [count-3]: goroutines that end meanwhile are counted as living.
  out.live = not_negative(runtime::num_goroutine());
  out.created = record::sum(record::counter::goroutines_created);
  out.io_waits = not_negative(io_waits());
  out.announced_calls = sched.announced_elsewhere.load_relaxed();
  out.given = sched.given_away.load_relaxed();
  out.taken_announced = sched.taken_announced.load_relaxed();
  out.taken_unannounced = sched.unannounced_blocking.load_relaxed();
  out.preemptions = sched.preemptions.load_relaxed();
  out.procs = static_cast<std::uint64_t>(proc_count());
  detail::spin_guard guard(sched.lock);
  const int allocated = sched.p_allocated.load_relaxed();  // calls are counted for life
  for (int i = 0; i < allocated; ++i) add_p(out, *sched.all_ps[i]);
  out.runnable +=
      sched.global_queue.size + sched.held_back.size + sched.in_place.size + sched.half_left.size;
  out.in_place = sched.in_place.size;
  for (const m* each = sched.strays; each != nullptr; each = each->stray_next) ++out.strays;
  out.not_in_go += out.strays;
  out.threads = sched.m_count + sched.helper_threads;
  return out;
}

void count_proc_time_locked() noexcept {
  const std::int64_t now_ns = os::monotonic_ns();
  const auto passed_ns =
      static_cast<std::uint64_t>(proc_time.since_ns == 0 ? 0 : now_ns - proc_time.since_ns);
  proc_time.procs_ns += passed_ns * static_cast<std::uint64_t>(sched.proc_count.load_relaxed());
  proc_time.idle_ns += passed_ns * sched.idle_p_count.load_relaxed();
  proc_time.since_ns = now_ns;
}

cpu_time read_cpu_time() noexcept {
  cpu_time out;
  const detail::inside_gort inside;
  out.scavenge_ns = sched.scavenge_ns.load_relaxed();
  detail::spin_guard guard(sched.lock);
  count_proc_time_locked();
  out.idle_ns = proc_time.idle_ns;
  out.user_ns = proc_time.procs_ns - out.idle_ns;
  return out;
}

own_memory read_own_memory() noexcept {
  own_memory out;
  const detail::inside_gort inside;
  out.processor_bytes = static_cast<std::size_t>(sched.p_allocated.load_relaxed()) * sizeof(p);
  out.record_bytes = sched.record_blocks.load_relaxed() * record_block_bytes;
  detail::spin_guard guard(sched.lock);
  out.thread_stack_bytes = (sched.m_count + sched.helper_threads) * thread_stack_bytes;
  return out;
}

}  // namespace gort::sched
