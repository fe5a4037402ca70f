// Which of many events are measured, where to measure one costs more than the event.
//
// Problem: a wake-up takes 30 ns and a look at the clock 40. But what is rare must be measured each
// time, or a service with a hundred requests a second would have no quantiles.
//
// So one of about `mean` events is taken, at random, so that no pattern of events is taken or left
// out; and it weighs as many as it stands for. Each millisecond `mean` follows the number of events
// in the one before, so that 16 are taken; it doubles whenever as many have been. So some ten
// thousand are measured in a second, and where there are fewer events all of them.
//
// Invariants
//   [sample-1] It belongs to one thread at a time [count-1].
//   [sample-2] The sum of the weights is the number of events, but for those after the last one
//              that was taken: fewer than 2 * mean_max.
//   [sample-3] An event that is not taken costs a decrement and a branch; no clock. The owner
//              looks at one, of any kind, where it comes by now and then: before what is rare, and
//              every some hundred events in a rush.
//
// Rejected: the first event after each tick of a coarse clock (the first of a burst, which waits
// for nobody); each eighth, as Go (two looks at the clock for four hand-offs of 30 ns).
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/xorshift.hpp"

namespace gort::record {

class event_sampler {
 public:
  static constexpr std::uint32_t mean_max = 512;

  /// 0: not this one. Else its weight.
  [[gnu::always_inline]] std::uint32_t take() noexcept {
    if (--left_ != 0) [[likely]]
      return 0;
    return take_slow();
  }

  /// tick_ns: any clock that costs nothing and is no more than some milliseconds late.
  [[gnu::always_inline]] void look(std::int64_t tick_ns) noexcept {
    if (tick_ns != tick_ns_) [[unlikely]]
      adapt(tick_ns);
  }

  /// Both, where an event costs more than that.
  std::uint32_t take_at(std::int64_t tick_ns) noexcept {
    look(tick_ns);
    return take();
  }

 private:
  static constexpr std::uint32_t per_period = 16;

  [[gnu::noinline]] std::uint32_t take_slow() noexcept {
    const std::uint32_t weight = stands_for_;
    events_ += weight - counted_;
    counted_ = 0;
    if (++taken_ % per_period == 0) mean_ = std::min(2 * mean_, mean_max);
    stands_for_ = left_ = draw();
    return weight;
  }

  [[gnu::noinline]] void adapt(std::int64_t tick_ns) noexcept {
    constexpr std::int64_t period_ns = 1'000'000;
    tick_ns_ = tick_ns;
    const std::int64_t periods = (tick_ns_ - since_ns_) / period_ns;
    if (periods <= 0) return;
    const std::uint32_t passed = stands_for_ - left_;  // since the last one taken
    const auto events = static_cast<std::int64_t>(events_ + passed - counted_);
    mean_ = static_cast<std::uint32_t>(
        std::clamp<std::int64_t>(events / (per_period * periods), 1, mean_max));
    since_ns_ = tick_ns_;
    events_ = 0;
    taken_ = 0;
    counted_ = passed;
    if (const std::uint32_t sooner = draw(); sooner < left_) {
      stands_for_ = passed + sooner;
      left_ = sooner;
    }
  }

  // Uniform from 1 to 2 * mean - 1.
  std::uint32_t draw() noexcept {
    random_ = base::xorshift(random_);
    return 1 + static_cast<std::uint32_t>((std::uint64_t{random_} * (2 * mean_ - 1)) >> 32);
  }

  std::uint32_t left_ = 1;        // events until the next one that is taken
  std::uint32_t stands_for_ = 1;  // and that weighs
  std::int64_t tick_ns_ = 0;
  std::uint32_t mean_ = 1;
  std::uint32_t taken_ = 0;    // in this period
  std::uint64_t events_ = 0;   // that those stand for, in this period
  std::uint32_t counted_ = 0;  // events since the last one taken, in periods before
  std::int64_t since_ns_ = 0;
  std::uint32_t random_ = 0x9e3779b9;
};

}  // namespace gort::record
