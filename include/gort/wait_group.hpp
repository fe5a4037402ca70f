/// Waiting for a collection of goroutines.
#pragma once

#include <cstdint>
#include <tuple>
#include <type_traits>
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
///   [wg-4] The counter is never below zero nor above 2^31 - 1, not for a moment: what is too much
///          is neither subtracted nor added.
///
/// Rejected: changing it first, and taking back what was too much: others meanwhile take one for
/// none, or none for one, and wait for ever or not at all.
class wait_group {
 public:
  wait_group() noexcept = default;
  wait_group(const wait_group&) = delete;
  wait_group& operator=(const wait_group&) = delete;

  /// Adds n, which may be negative. Never blocks. Throws runtime_error("sync: negative WaitGroup
  /// counter"), or ("sync: WaitGroup counter overflow") beyond 2^31 - 1; the counter then is as it
  /// was, and the object usable. Must not run beside a wait() for what was counted before, except
  /// to start more while some still runs. Go: Add.
  void add(std::int32_t n) {
    if (n < 0) return subtract(in_counter(n));
    std::uint64_t seen = state_.load_relaxed();
    do {
      if (counter_of(seen) > counter_max - n) [[unlikely]]
        throw_overflow();
      // Release: as in subtract().
    } while (!state_.cas_release(seen, seen + in_counter(n)));
  }

  /// add(-1). Go: Done.
  void done() { subtract(in_counter(-1)); }

  /// Blocks until the counter is zero. Go: Wait.
  void wait() noexcept {
    // Acquire pairs with the release in add(): the work is visible.
    if (counter_of(state_.load_acquire()) > 0) wait_slow();
  }

  /// Starts a goroutine that calls f(arguments...), counted from before it starts until after it
  /// ends, also by goexit(): when wait() returns, what f and the arguments held has been destroyed.
  /// Throws what go() throws; nothing is counted then. Go: WaitGroup.Go.
  template <class F, class... A>
  [[gnu::always_inline]] inline void go(F&& f, A&&... arguments) {
    detail::require_callable(f, detail::go_of_nil);
    gort::go(counted_call<std::decay_t<F>, std::decay_t<A>...>{
        counted(this), std::forward<F>(f), {std::forward<A>(arguments)...}});
  }

 private:
  struct counted {
    wait_group* group;
    explicit counted(wait_group* g) : group(g) { g->add(1); }
    counted(counted&& other) noexcept : group(std::exchange(other.group, nullptr)) {}
    ~counted() {
      if (group != nullptr) group->done();
    }
  };
  template <class F, class... A>
  struct counted_call {
    counted owner;  // first, so that it is destroyed last
    F f;
    [[no_unique_address]] std::tuple<A...> arguments;
    void operator()() { std::apply(std::move(f), std::move(arguments)); }
  };

  static constexpr std::uint64_t waiters_mask = 0xffffffff;
  static constexpr std::int32_t counter_max = 0x7fffffff;

  static std::int32_t counter_of(std::uint64_t state) noexcept {
    return static_cast<std::int32_t>(state >> 32);
  }
  static std::uint64_t in_counter(std::int32_t n) noexcept {
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(n)) << 32;
  }

  void subtract(std::uint64_t change) {
    std::uint64_t seen = state_.load_relaxed();
    do {
      if (counter_of(seen + change) < 0) [[unlikely]]
        throw_negative();
      // Release: what was done before is visible to who waits. Acquire: this may be the last.
    } while (!state_.cas_acq_rel(seen, seen + change));
    if (counter_of(seen + change) == 0 && (seen & waiters_mask) != 0) [[unlikely]]
      wake_all();
  }

  [[noreturn]] static void throw_negative();
  [[noreturn]] static void throw_overflow();
  void wait_slow() noexcept;
  void wake_all() noexcept;

  detail::atomic<std::uint64_t> state_;
  detail::spin_lock lock_;
  detail::waiter_list waiting_;
};

}  // namespace gort
