// Spinning: the slow path of the spin lock (grow the pause, then give the processor away), and the
// hints for others that spin.
#include <gort/detail/spin_hint.hpp>
#include <gort/detail/spin_lock.hpp>

#include "arch/pause.hpp"
#include "os/thread.hpp"
#include "sched/gmp/fork.hpp"
#include "sched/gmp/proc.hpp"

namespace gort::detail {

void spin_lock::lock_slow() noexcept {
  constexpr unsigned pause_max = 64;
  constexpr unsigned rounds_before_yield = 40;
  if (sched::in_forked_child()) gort_used_in_forked_child();
  unsigned pauses = 4;
  for (unsigned round = 0;; ++round) {
    if (round < rounds_before_yield) {
      for (unsigned i = 0; i < pauses; ++i) arch::pause();
      if (pauses < pause_max) pauses *= 2;
    } else {
      os::yield_thread();
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
