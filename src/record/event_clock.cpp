#include "record/event_clock.hpp"

namespace gort::record {

tick_scale event_scale;

namespace {

struct both {
  std::uint64_t ticks;
  std::int64_t ns;
};

// The same moment by both clocks: of some tries the one that took the shortest time.
both look() noexcept {
  constexpr int tries = 8;
  both best{};
  std::uint64_t shortest = ~std::uint64_t{0};
  for (int i = 0; i < tries; ++i) {
    const std::uint64_t before = arch::ticks();
    const std::int64_t ns = os::monotonic_ns();
    const std::uint64_t took = arch::ticks() - before;
    if (took >= shortest) continue;
    shortest = took;
    best = {before + took / 2, ns};
  }
  return best;
}

}  // namespace

void tune_event_clock(void (*wait)(std::int64_t ns)) {
  static bool tried = false;
  if (tried) return;
  tried = true;
  if (!os::ticks_are_a_clock()) return;
  constexpr std::int64_t wait_ns = 10'000'000;  // an error of 30 ns is 3 millionths of it
  const both first = look();
  wait(wait_ns);
  const both second = look();
  if (second.ticks <= first.ticks || second.ns <= first.ns) return;
  event_scale.base_ticks = second.ticks;
  event_scale.base_ns = second.ns;
  constexpr int scale_bits = 32;
  event_scale.ns_per_tick = static_cast<std::int64_t>(
      (wide_int{second.ns - first.ns} << scale_bits) / (second.ticks - first.ticks));
  event_scale.by_counter.store_release(1);  // pairs with the acquire in event_ns() [clock-1]
}

}  // namespace gort::record
