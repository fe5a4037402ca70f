// How much memory malloc has handed out, as far as somebody counts: who allocates tells
// (src/ops/malloc_profile), the managed heap's limit reads.
//
// Invariants
//   [account-1] Threads keep back what they have counted until it is 32 KiB, or they end. So the
//               sum is right to 32 KiB for each thread, and may be below zero for a moment.
//   [account-2] The alarm is called in the middle of malloc, once for each setting: whatever has
//               exchanged it for `never` calls.
#pragma once

#include <cstdint>

#include <gort/detail/atomic.hpp>

namespace gort::record {

class malloc_account {
 public:
  static constexpr std::int64_t never = INT64_MAX;

  bool is_counted() const noexcept { return counted_.load_relaxed(); }
  /// Before the first add().
  void begin() noexcept { counted_.store_relaxed(true); }

  /// Bytes in use, with what malloc adds to each block.
  std::int64_t bytes() const noexcept {
    const std::int64_t sum = bytes_.load_relaxed();
    return sum < 0 ? 0 : sum;
  }

  /// More, or less. Allocates nothing, takes no lock. Any thread, forked children too.
  void add(std::int64_t bytes) noexcept {
    const std::int64_t sum = bytes_.fetch_add_relaxed(bytes) + bytes;
    if (sum >= alarm_at_.load_relaxed()) ring();
  }

  /// Once so much is in use, `alarm` is called, once; `never`: not.
  void set_alarm(std::int64_t at, void (*alarm)() noexcept) noexcept {
    alarm_.store_relaxed(alarm);
    alarm_at_.store_release(at);  // pairs with ring()
  }

 private:
  [[gnu::cold]] void ring() noexcept {
    // Acquire pairs with the release in set_alarm(): there is a function.
    if (alarm_at_.exchange_acq_rel(never) == never) return;
    alarm_.load_relaxed()();
  }

  detail::atomic<std::int64_t> bytes_;
  detail::atomic<bool> counted_;
  detail::atomic<std::int64_t> alarm_at_{never};
  detail::atomic<void (*)() noexcept> alarm_;
};

extern constinit malloc_account malloc_bytes;

}  // namespace gort::record
