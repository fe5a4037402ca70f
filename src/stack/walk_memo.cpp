#include "stack/walk_memo.hpp"

#include <cstring>

#include "base/sanitizer.hpp"

namespace gort::stack {

namespace {

GORT_UNSANITIZED inline std::uintptr_t word_at(std::uintptr_t address) noexcept {
  return *reinterpret_cast<const std::uintptr_t*>(address);
}

std::uintptr_t frame_pointer_of(const frame_state& from) noexcept {
  return from.values[arch::dwarf_frame_pointer];
}

}  // namespace

void walk_memo::use(void* memory, std::size_t bytes) noexcept {
  slots_ = static_cast<detail::atomic<std::uint32_t>*>(memory);
  words_ = reinterpret_cast<std::uint64_t*>(slots_ + slots);
  words_max_ = (bytes - slots * sizeof(*slots_)) / sizeof(std::uint64_t);
  words_used_.store_relaxed(0);
}

// By how deep the stack is, and at which of the places that ask.
std::size_t walk_memo::first_slot(const frame_state& from,
                                  const stack_bounds& bounds) const noexcept {
  constexpr std::uint64_t factor = 0x9e3779b97f4a7c15u;
  constexpr unsigned slot_bits = 12;
  static_assert(slots == std::size_t{1} << slot_bits);
  const std::uint64_t hash = ((bounds.high - from.sp()) ^ from.pc * factor) * factor;
  return (hash >> (64 - slot_bits)) & ~(ways - 1);
}

GORT_UNSANITIZED std::uint32_t walk_memo::find(const frame_state& from,
                                               const stack_bounds& bounds) const noexcept {
  if (slots_ == nullptr) return 0;
  const std::uintptr_t sp = from.sp();
  const std::size_t first = first_slot(from, bounds);
  for (std::size_t way = 0; way < ways; ++way) {
    // Acquire pairs with the release in add() [memo-1].
    const std::uint32_t place = slots_[first + way].load_acquire();
    if (place == 0) return 0;
    const entry& e = *reinterpret_cast<const entry*>(words_ + (place - 1));
    if (e.pc != from.pc || e.fp != frame_pointer_of(from) - sp || e.end_bytes > bounds.high - sp)
      continue;
    const walk_trail::read* each = e.all;
    const walk_trail::read* const end = e.all + e.reads;
    for (; each != end; ++each) {
      const std::uintptr_t word = word_at(sp + each->at_bytes);
      if ((each->is_code ? arch::plain_code_address(word) : word - sp) != each->value) break;
    }
    if (each == end) return e.number;
  }
  return 0;
}

void walk_memo::add(const frame_state& from, const stack_bounds& bounds, const walk_trail& trail,
                    std::uint32_t number) noexcept {
  if (slots_ == nullptr || !trail.is_whole || number == 0) return;
  const std::size_t first = first_slot(from, bounds);
  std::size_t way = 0;
  while (way < ways && slots_[first + way].load_relaxed() != 0) ++way;
  if (way == ways) return;  // [memo-2]
  const std::size_t read_bytes = trail.count * sizeof(trail.all[0]);
  const std::size_t words =
      (offsetof(entry, all) + read_bytes + sizeof(std::uint64_t) - 1) / sizeof(std::uint64_t);
  if (words_used_.load_relaxed() + words > words_max_) return;
  const std::size_t at = words_used_.fetch_add_relaxed(words);
  if (at + words > words_max_) return;
  entry& e = *reinterpret_cast<entry*>(words_ + at);
  e.pc = from.pc;
  e.fp = frame_pointer_of(from) - from.sp();
  e.end_bytes = trail.end_bytes;
  e.number = number;
  e.reads = static_cast<std::uint32_t>(trail.count);
  std::memcpy(e.all, trail.all, read_bytes);
  std::uint32_t none = 0;
  slots_[first + way].cas_release(none, static_cast<std::uint32_t>(at + 1));  // find()
}

}  // namespace gort::stack
