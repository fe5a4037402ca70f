// Memory that the program has, by who allocated it, sampled as Go does: one block for each so many
// bytes on average. Who allocates tells (src/ops/malloc_profile); this knows nothing of allocators.
//
// Invariants
//   [heap-1] A block that was sampled and not freed is in the table of the living, by its address,
//            once: its allocator gives no address out twice. So only its owner looks for it.
//   [heap-2] That table is of sets: a block is in one of the places of its address's set, or, if
//            that is full, is not followed: it counts as allocated and freed at once, and as lost.
//   [heap-3] How many blocks a set has is counted beside it, so that most of those that are not in
//            the table are told without looking at it (it is large, and cold). The count is raised
//            before a block's address is told to anybody, and lowered before its place is free: so
//            it is above 0 for who looks for a block that is there, and never above 64.
//   [heap-4] Nothing here allocates, or locks: this is called in the middle of malloc, in a forked
//            child, and where a thread parked in place holds any lock.
#pragma once

#include <cstddef>
#include <cstdint>

#include <gort/detail/atomic.hpp>

#include "record/event_table.hpp"

namespace gort::record {

class heap_profile {
 public:
  // The sums of a bucket, whose tag is the blocks' size. As sampled: scaled() says what that means.
  static constexpr std::size_t allocations = 0, allocated_bytes = 1, frees = 2, freed_bytes = 3;
  static constexpr std::int64_t default_rate_bytes = 512 << 10;

  std::int64_t rate_bytes() const noexcept { return rate_.load_relaxed(); }
  /// 0: none; 1: every block. Returns the previous one.
  std::int64_t set_rate_bytes(std::int64_t to) noexcept {
    return rate_.exchange_relaxed(to < 0 ? 0 : to);
  }

  const event_table& table() const noexcept { return table_; }

  /// A sampled block. False: it is not followed [heap-2].
  bool add(const void* block, std::size_t bytes, event_table::stack frames,
           const event_table::labels& whose) noexcept;
  /// Of a sampled block that is not freed meanwhile; null: it is none.
  const event_table::bucket* find(const void* block) const noexcept;
  /// Such a block may be freed. Its size, as it was told, above 0; 0: it is none that was sampled.
  std::size_t remove(const void* block) noexcept;

  /// What all blocks were of which these have been sampled, by Go's formula.
  struct amount {
    std::int64_t blocks = 0;
    std::int64_t bytes = 0;
  };
  static amount scaled(amount sampled, std::int64_t rate_bytes) noexcept;

  /// How many bytes are allocated until the next that is sampled, at a rate above 0: exponentially
  /// distributed, so that each has the same chance. `random` is the state of xorshift64, not 0.
  static std::int64_t draw_gap(std::uint64_t& random, std::int64_t rate_bytes) noexcept;

 private:
  struct place {
    detail::atomic<std::uintptr_t> block;  // 0: free
    detail::atomic<event_table::bucket*> bucket;
  };
  static constexpr std::size_t sets = 4096, places_of_set = 64;

  bool prepare() noexcept;
  static std::size_t set_of(const void* block) noexcept;
  place* place_of(const void* block) const noexcept;  // null: it is not there

  detail::atomic<std::int64_t> rate_{default_rate_bytes};
  detail::atomic<bool> preparing_{false};
  detail::atomic<place*> living_{nullptr};
  detail::atomic<std::uint8_t> living_in_[sets];  // [heap-3]
  event_table table_;
};

extern heap_profile heap_events;

}  // namespace gort::record
