/// Waiting for a collection of goroutines.
#pragma once

#include <cstdint>
#include <utility>

#include <gort/detail/atomic.hpp>
#include <gort/detail/park.hpp>
#include <gort/error.hpp>
#include <gort/go.hpp>

namespace gort {

/// Counts work that is under way; wait() blocks until the count is zero. All members may be called
/// from goroutines and plain threads. Must outlive all calls, wait() being the last. Not copyable.
/// Go: sync.WaitGroup.
///
/// Invariants
///   [wg-1] `state_` holds the counter in its upper and the number of waiters in its lower half.
///   [wg-2] Waiters are queued under `lock_` before they are counted; whoever brings the counter to
///          zero with waiters counted takes all of them, under `lock_`, and wakes them.
///   [wg-3] After the wake-up of the last waiter nobody touches the object: it may be gone.
class wait_group {
 public:
  wait_group() noexcept = default;
  wait_group(const wait_group&) = delete;
  wait_group& operator=(const wait_group&) = delete;

  /// Adds n, which may be negative. Never blocks. Throws runtime_error("sync: negative WaitGroup
  /// counter"), the counter then is as it was. Go: Add.
  void add(std::int32_t n) {
    const std::uint64_t change = static_cast<std::uint64_t>(static_cast<std::int64_t>(n)) << 32;
    // Release: what was done before is visible to who waits. Acquire: this may be the last.
    const std::uint64_t before = state_.fetch_add_acq_rel(change);
    const std::int64_t counter = static_cast<std::int32_t>(before >> 32) + std::int64_t{n};
    if (counter < 0) [[unlikely]]
      undo(change);
    if (counter == 0 && (before & waiters_mask) != 0) [[unlikely]]
      wake_all();
  }

  /// add(-1). Go: Done.
  void done() { add(-1); }

  /// Blocks until the counter is zero. Go: Wait.
  void wait() noexcept {
    // Acquire pairs with the release in add(): the work is visible.
    if (static_cast<std::int32_t>(state_.load_acquire() >> 32) != 0) wait_slow();
  }

  /// Starts a goroutine that calls f(arguments...), counted from before it starts until after it
  /// ends, also by goexit(). Throws what go() throws; nothing is counted then. Go: WaitGroup.Go.
  template <class F, class... A>
  [[gnu::always_inline]] inline void go(F&& f, A&&... arguments) {
    struct counted {
      wait_group* group;
      explicit counted(wait_group* g) : group(g) { g->add(1); }
      counted(counted&& other) noexcept : group(std::exchange(other.group, nullptr)) {}
      ~counted() {
        if (group != nullptr) group->done();
      }
    };
    gort::go(
        [](counted, auto&& call, auto&&... rest) {
          std::forward<decltype(call)>(call)(std::forward<decltype(rest)>(rest)...);
        },
        counted(this), std::forward<F>(f), std::forward<A>(arguments)...);
  }

 private:
  static constexpr std::uint64_t waiters_mask = 0xffffffff;

  [[noreturn]] void undo(std::uint64_t change) {
    state_.fetch_sub_acq_rel(change);  // as it was; pairs with add()
    detail::throw_runtime_error("sync: negative WaitGroup counter");
  }
  void wait_slow() noexcept;
  void wake_all() noexcept;

  detail::atomic<std::uint64_t> state_;
  detail::spin_lock lock_;
  detail::waiter_list waiting_;
};

}  // namespace gort
