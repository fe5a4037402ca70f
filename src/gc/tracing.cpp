#include "gc/tracing.hpp"

#include <gort/detail/inside.hpp>
#include <gort/detail/spin_lock.hpp>

#include "gc/collector.hpp"
#include "gc/control.hpp"
#include "gc/statistics.hpp"
#include "os/thread.hpp"
#include "sched/gmp/proc.hpp"
#include "sched/gmp/seams.hpp"

namespace gort::managed {

namespace {

namespace seam = sched::seam;
using record::trace_kind;

bool is_wanted() noexcept { return seam::is_wanted(seam::at::collected); }

std::uint64_t own_thread() noexcept { return static_cast<std::uint64_t>(os::this_thread().id); }

// A goroutine's number, which no goroutine has.
std::uint64_t own_number() noexcept {
  static const std::uint64_t number = [] {
    detail::spin_guard guard(sched::sched.lock);
    return sched::sched.next_id++;
  }();
  return number;
}

void tell_heap() noexcept {
  seam::collected(trace_kind::heap_alloc, bytes_in_use(), {own_thread()});
}

// 0: it is off, as Go shows it.
void tell_goal() noexcept {
  const std::uint64_t goal = heap_goal();
  seam::collected(trace_kind::heap_goal, goal == ~std::uint64_t{0} ? 0 : goal, {own_thread()});
}

}  // namespace

void trace_begin(const cycle_log& of) noexcept {
  if (!is_wanted()) return;
  const detail::inside_gort inside;
  seam::collected(trace_kind::gc_begin, own_number(),
                  {own_thread(), reinterpret_cast<std::uintptr_t>(of.code)});
  tell_goal();
  tell_heap();
}

void trace_marked(const cycle_log&) noexcept {
  if (!is_wanted()) return;
  const detail::inside_gort inside;
  tell_heap();
  seam::collected(trace_kind::gc_end, own_number(), {own_thread()});
  seam::collected(trace_kind::sweep_begin, own_number(), {own_thread()});
}

void trace_end(const cycle_log& of) noexcept {
  if (!is_wanted()) return;
  const detail::inside_gort inside;
  seam::collected(trace_kind::sweep_end, own_number(),
                  {own_thread(), of.swept_bytes, of.freed_bytes});
  tell_heap();
  tell_goal();
  seam::collected(trace_kind::gc_rest, own_number(), {own_thread()});
}

}  // namespace gort::managed
