// Spinning: the slow path of the spin lock (grow the pause, then give the processor away, then
// sleep), and the hints for others that spin.
//
// A holder needs dozens of instructions, so who has waited for seconds may be its own holder: in a
// signal handler of the program that calls gort, and has interrupted gort. That says so, and ends.
#include <gort/detail/spin_hint.hpp>
#include <gort/detail/spin_lock.hpp>

#include <iterator>

#include "arch/pause.hpp"
#include "os/thread.hpp"
#include "sched/gmp/current.hpp"
#include "sched/gmp/fork.hpp"
#include "sched/gmp/own_stack.hpp"
#include "sched/gmp/proc.hpp"
#include "stack/walk.hpp"

namespace gort::detail {

namespace {

/// Whether the calling code runs in a handler.
bool in_signal_handler() noexcept {
  const stack::frame_state here = stack::calling_frame();
  const void* pcs[128];
  const stack::walked found =
      stack::walk(here, sched::own_stack_at(here.sp()).bounds, pcs, std::size(pcs));
  for (std::size_t i = 0; i < found.frames; ++i) {
    stack::frame_state at;
    at.pc = reinterpret_cast<std::uintptr_t>(pcs[i]);
    at.is_return_address = true;
    if (stack::caller_rules rules; stack::find_rules(at, rules) && rules.signal_frame) return true;
  }
  return false;
}

}  // namespace

void spin_lock::lock_slow() noexcept {
  constexpr unsigned pause_max = 64;
  constexpr unsigned rounds_before_yield = 40;
  constexpr unsigned rounds_before_look = 40'000;  // some seconds
  if (sched::in_forked_child()) gort_used_in_forked_child();
  unsigned pauses = 16;
  for (unsigned round = 0;; ++round) {
    if (round < rounds_before_yield) {
      for (unsigned i = 0; i < pauses; ++i) arch::pause();
      if (pauses < pause_max) pauses *= 2;
    } else {
      os::give_way(round - rounds_before_yield);
      if (round % rounds_before_look == 0 && in_signal_handler())
        sched::fatal("gort: called in a signal handler, for what the interrupted code holds");
    }
    // Acquire pairs with the release in unlock().
    if (word_.load_relaxed() == 0 && word_.exchange_acquire(1) == 0) return;
  }
}

bool worth_spinning() noexcept { return sched::proc_count() > 1; }

void spin_pause(unsigned pauses) noexcept {
  for (unsigned i = 0; i < pauses; ++i) arch::pause();
}

}  // namespace gort::detail
