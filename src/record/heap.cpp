#include "record/heap.hpp"

#include <cmath>

#include "base/xorshift.hpp"
#include "os/memory.hpp"

namespace gort::record {

constinit heap_profile heap_events;

bool heap_profile::prepare() noexcept {
  // Acquire pairs with the release below.
  if (living_.load_acquire() != nullptr) return true;
  if (preparing_.exchange_relaxed(true)) return false;  // by somebody else, or it has failed
  constexpr std::size_t table_bytes_max = std::size_t{64} << 20;
  if (!table_.prepare(table_bytes_max)) return false;
  void* memory = os::reserve(sizeof(place) * sets * places_of_set);
  if (memory == nullptr) return false;
  // Release pairs with the acquires above and in set_of(): it is zero.
  living_.store_release(static_cast<place*>(memory));
  return true;
}

std::size_t heap_profile::set_of(const void* block) noexcept {
  constexpr std::uint64_t factor = 0x9e3779b97f4a7c15u;
  constexpr unsigned set_bits = 12;
  static_assert(sets == std::size_t{1} << set_bits);
  const std::uint64_t hash = reinterpret_cast<std::uintptr_t>(block) * factor;
  return hash >> (64 - set_bits);
}

heap_profile::place* heap_profile::place_of(const void* block) const noexcept {
  const std::size_t set = set_of(block);
  // Relaxed: who asks has got the block from who added it [heap-1], [heap-3].
  if (living_in_[set].load_relaxed() == 0) return nullptr;
  place* all = living_.load_acquire();  // pairs with the release in prepare()
  if (all == nullptr) return nullptr;
  place* first = all + set * places_of_set;
  for (place* at = first; at != first + places_of_set; ++at) {
    if (at->block.load_relaxed() == reinterpret_cast<std::uintptr_t>(block)) return at;
  }
  return nullptr;
}

bool heap_profile::add(const void* block, std::size_t bytes, event_table::stack frames,
                       const event_table::labels& whose) noexcept {
  if (!prepare()) return false;
  event_table::bucket* where = table_.find_or_add(frames, bytes, whose);
  if (where == nullptr) return false;
  const auto size = static_cast<std::int64_t>(bytes);
  where->add(allocations, 1);
  where->add(allocated_bytes, size);
  const std::size_t set = set_of(block);
  place* first = living_.load_acquire() + set * places_of_set;  // pairs with prepare()
  for (place* at = first; at != first + places_of_set; ++at) {
    std::uintptr_t free = 0;
    // Relaxed: who looks for this block has it from its owner [heap-1].
    if (at->block.load_relaxed() != 0 ||
        !at->block.cas_relaxed(free, reinterpret_cast<std::uintptr_t>(block)))
      continue;
    at->bucket.store_relaxed(where);
    living_in_[set].fetch_add_relaxed(1);  // [heap-3]
    return true;
  }
  where->add(frees, 1);  // [heap-2]
  where->add(freed_bytes, size);
  return false;
}

const event_table::bucket* heap_profile::find(const void* block) const noexcept {
  const place* at = place_of(block);
  return at == nullptr ? nullptr : at->bucket.load_relaxed();
}

std::size_t heap_profile::remove(const void* block) noexcept {
  place* at = place_of(block);
  if (at == nullptr) return 0;
  event_table::bucket* where = at->bucket.load_relaxed();
  living_in_[set_of(block)].fetch_sub_relaxed(1);  // first [heap-3]
  at->block.store_relaxed(0);
  const std::size_t bytes = where->tag();
  where->add(frees, 1);
  where->add(freed_bytes, static_cast<std::int64_t>(bytes));
  return bytes;
}

heap_profile::amount heap_profile::scaled(amount sampled, std::int64_t rate_bytes) noexcept {
  if (sampled.blocks == 0 || sampled.bytes == 0) return {};
  if (rate_bytes <= 1) return sampled;
  const double average = static_cast<double>(sampled.bytes) / static_cast<double>(sampled.blocks);
  const double factor = 1 / (1 - std::exp(-average / static_cast<double>(rate_bytes)));
  return {static_cast<std::int64_t>(static_cast<double>(sampled.blocks) * factor),
          static_cast<std::int64_t>(static_cast<double>(sampled.bytes) * factor)};
}

std::int64_t heap_profile::draw_gap(std::uint64_t& random, std::int64_t rate_bytes) noexcept {
  if (rate_bytes == 1) return 0;
  random = base::xorshift(random);
  constexpr unsigned unused_bits = 11;
  const double in_0_to_1 = (static_cast<double>(random >> unused_bits) + 1) * 0x1p-53;
  return static_cast<std::int64_t>(-std::log(in_0_to_1) * static_cast<double>(rate_bytes));
}

}  // namespace gort::record
