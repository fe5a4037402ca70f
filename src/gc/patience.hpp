// How the collector's thread, and who reads statistics, waits for somebody who is in the midst of
// something: it spins for some microseconds, then sleeps for some dozens at a time.
//
// Rejected: sched_yield(2). Who yields gives up the rest of its slice, and the collector's is long
// (os/slices.hpp): between threads that compute it did not come back for tens of milliseconds.
#pragma once

#include <cstdint>

#include <gort/detail/inside.hpp>

#include "arch/pause.hpp"
#include "os/thread.hpp"
#include "sched/gmp/fork.hpp"

namespace gort::managed {

class patience {
 public:
  void wait() noexcept {
    constexpr unsigned spins = 16, pauses = 16;
    if (rounds_++ >= spins) {
      if (sched::in_forked_child()) gort_used_in_forked_child();
      constexpr std::int64_t sleep_ns = 10'000;
      os::sleep_ns(sleep_ns);
      return;
    }
    for (unsigned i = 0; i < pauses; ++i) arch::pause();
  }

 private:
  unsigned rounds_ = 0;
};

}  // namespace gort::managed
