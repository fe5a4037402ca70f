// When an event happened.
//
// Problem: a look at CLOCK_MONOTONIC costs more than everything else that is done to write an event
// down: 29 ns here, of which 11 are the processor's counter, 11 that it is read in order with what
// stands around it, and the rest a call and the check that nobody sets the clock.
//
// So the counter is read bare, and made nanoseconds by a factor that is measured once. Who compares
// such times compares them with each other only: with CLOCK_MONOTONIC they agree within some
// millionths of the time since then.
//
// Invariants
//   [clock-1] The factor is set once in a process, and `by_counter` after it: a release that pairs
//             with the acquire in event_ns(). Before that, and where the kernel does not trust the
//             counter, event_ns() is CLOCK_MONOTONIC; at that moment the two are the same.
//   [clock-2] The counter is read before the event can be seen by another thread, but may be read
//             some hundred instructions early: before the event that has led to this one on another
//             thread. Who must not have that takes event_in_order_ns(), or knows when the other one
//             was.
#pragma once

#include <cstdint>

#include <gort/detail/atomic.hpp>

#include "arch/ticks.hpp"
#include "os/clock.hpp"

namespace gort::record {

__extension__ typedef __int128 wide_int;

struct alignas(64) tick_scale {
  detail::atomic<std::uint32_t> by_counter;  // [clock-1]
  std::uint64_t base_ticks = 0;
  std::int64_t base_ns = 0;
  std::int64_t ns_per_tick = 0;  // in units of 2^-32
};
extern tick_scale event_scale [[gnu::visibility("hidden")]];

template <std::uint64_t ticks_now() noexcept>
inline std::int64_t event_ns_by() noexcept {
  const tick_scale& s = event_scale;
  // Acquire pairs with the release in tune_event_clock().
  if (s.by_counter.load_acquire() == 0) [[unlikely]]
    return os::monotonic_ns();
  const auto ticks = static_cast<std::int64_t>(ticks_now() - s.base_ticks);
  constexpr int scale_bits = 32;
  return s.base_ns + static_cast<std::int64_t>((wide_int{ticks} * s.ns_per_tick) >> scale_bits);
}

/// Any thread, in a signal's handler too [clock-2].
inline std::int64_t event_ns() noexcept { return event_ns_by<arch::ticks>(); }
inline std::int64_t event_in_order_ns() noexcept { return event_ns_by<arch::ticks_in_order>(); }

/// Measures the factor, if that has not been done; waits for some 10 ms by wait(nanoseconds). One
/// thread at a time.
void tune_event_clock(void (*wait)(std::int64_t ns));

}  // namespace gort::record
