#include "gc/sampling.hpp"

#include <bit>
#include <cmath>
#include <span>

#include <gort/detail/atomic.hpp>

#include "gc/heap.hpp"
#include "record/heap.hpp"
#include "sched/gmp/labels.hpp"
#include "sched/gmp/own_stack.hpp"
#include "stack/walk.hpp"

namespace gort::managed {

using record::heap_events;

void sampler::draw() noexcept {
  constexpr std::int64_t never = std::int64_t{1} << 62;
  if (random == 0) random = reinterpret_cast<std::uintptr_t>(this) | 1;
  rate = heap_events.rate_bytes();
  left_bytes = rate == 0 ? never : record::heap_profile::draw_gap(random, rate);
}

bool sampler::is_current() const noexcept { return rate == heap_events.rate_bytes(); }

std::uint64_t sampler::before_next(std::uint64_t slots, std::size_t slot_bytes) noexcept {
  if (!is_current()) [[unlikely]]
    draw();
  const auto one = static_cast<std::int64_t>(slot_bytes);
  const std::int64_t all = one * std::popcount(slots);
  if (left_bytes >= all) [[likely]] {
    left_bytes -= all;
    return slots;
  }
  std::uint64_t others = slots;
  for (std::int64_t i = left_bytes / one; i > 0; --i) others &= others - 1;
  return slots ^ others;
}

bool samples_large(std::size_t bytes) noexcept {
  // A mixed count: who gets which number does not matter.
  static detail::atomic<std::uint64_t> count;
  constexpr std::uint64_t step = 0x9e3779b97f4a7c15u, mix = 0xbf58476d1ce4e5b9u;
  std::uint64_t random = count.fetch_add_relaxed(step) + step;
  random = (random ^ random >> 30) * mix;
  random = (random ^ random >> 27) | 1;
  const std::int64_t rate = heap_events.rate_bytes();
  return rate != 0 &&
         record::heap_profile::draw_gap(random, rate) < static_cast<std::int64_t>(bytes);
}

[[gnu::noinline]] void note_sampled(std::uintptr_t slot, std::size_t bytes) noexcept {
  constexpr std::size_t frames_max = 128;
  const void* pcs[frames_max];
  const stack::frame_state at = stack::calling_frame();
  const sched::own_stack own = sched::own_stack_at(at.sp());
  const stack::walked found = stack::walk(at, own.bounds, pcs, frames_max);
  const std::span frames(pcs, found.frames);
  const bool is_followed = heap_events.add(reinterpret_cast<const void*>(slot), bytes, frames,
                                           sched::labels_of_own(own.whose));
  if (!is_followed) [[unlikely]] {  // [sample-2]
    const place at = find(slot);
    at.in->sampled.fetch_sub_relaxed(sampled_slots::one(at.slot));
  }
  trace_allocation(slot, bytes);
}

void forget_sampled(span& of, std::uint32_t word, std::uint64_t dead) noexcept {
  const auto forget = [&](std::uint32_t slot) {
    return heap_events.remove(reinterpret_cast<const void*>(of.address_of(slot)));
  };
  const sampled_slots known{of.sampled.load_relaxed()};
  if (known.count() == 1) {
    const std::uint32_t slot = known.sum();
    if (slot / 64 != word || (dead >> slot % 64 & 1) == 0) return;
    (void)forget(slot);
    of.sampled.fetch_sub_relaxed(sampled_slots::one(slot));
    return;
  }
  for (; dead != 0; dead &= dead - 1) {
    const std::uint32_t slot = word * 64 + static_cast<std::uint32_t>(std::countr_zero(dead));
    if (forget(slot)) of.sampled.fetch_sub_relaxed(sampled_slots::one(slot));
  }
}

}  // namespace gort::managed
