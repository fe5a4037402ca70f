#include "report/metrics/cpu_classes.hpp"

#include <gort/detail/atomic.hpp>

#include "sched/gmp/census.hpp"

namespace gort::report {

namespace {

// An assist, and what an idle P marks, is known when it is over; until then its time counts as the
// program's, which must not become less.
detail::atomic<std::uint64_t> most_user_ns;

std::uint64_t at_least_as_before(std::uint64_t ns) noexcept {
  std::uint64_t before = most_user_ns.load_relaxed();
  while (before < ns && !most_user_ns.cas_relaxed(before, ns)) {
  }
  return before < ns ? ns : before;
}

}  // namespace

cpu_classes read_cpu_classes(const record::managed_facts& heap) noexcept {
  const sched::cpu_time procs = sched::read_cpu_time();
  const std::uint64_t helped_ns = heap.assist_ns - heap.assist_outside_ns + heap.idle_ns;
  cpu_classes out;
  out.user_ns = at_least_as_before(procs.user_ns > helped_ns ? procs.user_ns - helped_ns : 0);
  out.idle_ns = procs.idle_ns;
  out.scavenge_assist_ns = heap.give_back_over_limit_ns;
  out.scavenge_background_ns = procs.scavenge_ns + heap.give_back_ns;
  out.dedicated_ns = heap.mark_ns + heap.sweep_ns;
  out.assist_ns = heap.assist_ns;
  out.idle_mark_ns = heap.idle_ns;
  return out;
}

}  // namespace gort::report
