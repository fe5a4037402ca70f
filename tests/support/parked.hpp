// Waiting until others wait. Who has said that it comes is not there yet; who is to be found
// waiting is waited for here, by looking.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>

#include <gort/detail/atomic.hpp>
#include <gort/detail/wait_reason.hpp>
#include <gort/time.hpp>

#include "os/preempt.hpp"
#include "report/snapshot.hpp"
#include "sched/gmp/inspect.hpp"

namespace gort::test {

using detail::wait_reason;

/// Goroutines that are parked: off their threads, so that a wake-up makes them runnable. The
/// metric /sched/goroutines/waiting takes those for waiting, too, that are about to run.
class parked_counts {
 public:
  /// Now. Stops the world for a moment.
  parked_counts() {
    report::snapshot seen;
    report::take_snapshot(seen, {.stacks = false}, sched::current_goroutine());
    seen.for_each([this](const sched::goroutine_view& view, auto&, auto*) {
      if (view.status != sched::g_status::waiting) return;
      ++all_;
      ++of_[static_cast<std::size_t>(view.reason)];
    });
  }

  std::size_t all() const { return all_; }
  std::size_t of(wait_reason why) const { return of_[static_cast<std::size_t>(why)]; }

 private:
  std::size_t all_ = 0;
  std::array<std::size_t, 256> of_{};
};

/// Made before they are started:
///     const test::arrivals since;
///     go([&] { m.lock(); });
///     since.wait_for(1, wait_reason::sync_mutex_lock);
class arrivals {
 public:
  /// Until so many more are parked for that reason than were. Parks; any thread.
  void wait_for(std::size_t how_many, wait_reason why) const {
    while (parked_counts().of(why) < before_.of(why) + how_many) look_again();
  }
  /// For whatever reason.
  void wait_for(std::size_t how_many) const {
    while (parked_counts().all() < before_.all() + how_many) look_again();
  }

 private:
  static void look_again() { gort::sleep(std::chrono::milliseconds(1)); }

  parked_counts before_;
};

/// Until that goroutine is parked. Parks; any thread.
inline void until_parked(std::uint64_t id) {
  for (bool is_parked = false; !is_parked;) {
    report::snapshot seen;
    report::take_snapshot(seen, {.stacks = false}, sched::current_goroutine());
    seen.for_each([&](const sched::goroutine_view& view, auto&, auto*) {
      is_parked |= view.id == id && view.status == sched::g_status::waiting;
    });
    if (!is_parked) gort::sleep(std::chrono::milliseconds(1));
  }
}

/// Until that thread sleeps in the kernel. It says who it is when nothing is left to be done but
/// what it is to sleep in.
inline void until_asleep(const detail::atomic<os::thread_handle>& thread) {
  for (;;) {
    const os::thread_handle who = thread.load_acquire();  // pairs with the release of who it is
    if (who.id != 0 && os::activity_of(who) == os::thread_activity::blocked) return;
    std::this_thread::yield();
  }
}

}  // namespace gort::test
