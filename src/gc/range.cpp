// The range that managed objects and goroutines' stacks share, and the tables for it.
//
// Where it is a block as managed_word.hpp has it, one compare says whether an address is in scanned
// memory [word-4]. A quarter is for stacks: their slots come from here as soon as this file is
// linked, and so only then; those that are outside (made before, or when the quarter is full) are
// memory like any other, where each gc::ptr is in the table of roots.
//
// A terabyte of addresses if the system grants it, else half, and so on; where RLIMIT_AS says how
// many the process may have (ulimit -v), half of what it leaves: threads, malloc and the stacks
// that find no room in the range need some, too. They are no memory, and nobody's to read, before
// they are opened: chunks of stacks one by one, the heap and its tables as it grows (pages.cpp).
#include <algorithm>
#include <utility>

#include <gort/detail/spin_lock.hpp>

#include "gc/heap.hpp"
#include "os/addresses.hpp"
#include "os/memory.hpp"
#include "os/preempt.hpp"
#include "stack/slots.hpp"

namespace gort::detail {
constinit managed_state managed;
}

namespace gort::managed {

constinit layout heap;
constinit scanned_range scanned;

namespace {

constinit detail::spin_lock range_lock;
constinit detail::atomic<std::uint32_t>
    range_state;                           // 0: not asked for; 1: there is one; 2: refused
constinit std::uintptr_t stacks_next = 0;  // range_lock
constinit std::uintptr_t stacks_end = 0;

// Sanitizers' own maps leave less room.
constexpr std::size_t block_bytes = std::size_t{1} << detail::managed_state::block_bits;
constexpr std::size_t range_bytes_max =
    base::with_asan || base::with_tsan ? std::size_t{64} << 30 : block_bytes;
constexpr std::size_t range_bytes_min = std::size_t{16} << 20;
// So the heap is aligned, and its size one of what the leak checker is told of (pages.cpp).
static_assert(range_bytes_min / 4 % alignment_max == 0);

void* take_stack_chunk(std::size_t bytes) noexcept {
  detail::spin_guard guard(range_lock);
  const std::size_t whole = (bytes + page_bytes - 1) / page_bytes * page_bytes;
  if (stacks_end - stacks_next < whole) return nullptr;
  if (!os::open_addresses(reinterpret_cast<void*>(stacks_next), whole)) return nullptr;
  return reinterpret_cast<void*>(std::exchange(stacks_next, stacks_next + whole));
}

// From a multiple of `alignment` on; both are multiples of pages.
void* reserve_aligned(std::size_t bytes, std::size_t alignment) noexcept {
  auto* all = static_cast<char*>(os::reserve_addresses(bytes + alignment));
  if (all == nullptr) return nullptr;
  const std::size_t before = -reinterpret_cast<std::uintptr_t>(all) & (alignment - 1);
  if (before != 0) os::unreserve(all, before);
  os::unreserve(all + before + bytes, alignment - before);
  return all + before;
}

bool reserve_locked() noexcept {
  const std::size_t most = std::min(range_bytes_max, os::addresses_left() / 2);
  for (std::size_t share = most; share >= range_bytes_min; share /= 2) {
    const std::size_t bytes = share / range_bytes_min * range_bytes_min;
    const std::size_t stacks = bytes / 4;
    const std::size_t pages = (bytes - stacks) / page_bytes;
    void* range = bytes == block_bytes ? reserve_aligned(bytes, block_bytes) : nullptr;
    const bool is_block = range != nullptr;
    if (!is_block) range = reserve_aligned(bytes, alignment_max);
    if (range == nullptr) continue;
    void* words = os::reserve_addresses(pages * sizeof(*heap.pages));
    void* spans = words == nullptr ? nullptr : os::reserve_addresses(pages * sizeof(span));
    if (spans == nullptr) {
      if (words != nullptr) os::unreserve(words, pages * sizeof(*heap.pages));
      os::unreserve(range, bytes);
      continue;
    }
    const auto low = reinterpret_cast<std::uintptr_t>(range);
    heap.heap_low = low + stacks;
    heap.pages = static_cast<detail::atomic<std::uint64_t>*>(words);
    heap.spans = static_cast<span*>(spans);
    heap.page_count = pages;  // open_pages is 0
    stacks_next = low;
    stacks_end = low + stacks - page_bytes;  // else it would lead to the heap's first object
    scanned.low.store_relaxed(low);
    scanned.bytes.store_release(bytes);  // pairs with the acquire in has()
    if (is_block) detail::managed.block = low >> detail::managed_state::block_bits;
    return true;
  }
  return false;
}

// When the program is loaded, so that goroutines' stacks lie in the range. What needs it earlier
// asks for it.
const bool at_load = reserve_range();

}  // namespace

bool reserve_range() noexcept {
  // Acquire pairs with the release below.
  const std::uint32_t known = range_state.load_acquire();
  if (known != 0) return known == 1;
  detail::spin_guard guard(range_lock);
  if (range_state.load_relaxed() != 0) return range_state.load_relaxed() == 1;
  // Libraries that have gort linked in, and their symbols in common, use the first one's; but of
  // each what is to be done at load is done.
  const bool by_another = heap.page_count != 0;
  const bool there = by_another || reserve_locked();
  if (there && !by_another) {
    // [mark-6]: with the system's barriers stores need none of their own. Nothing is marked yet.
    if (os::fences_running_threads()) detail::managed.shading.store_relaxed(0);
    // Release pairs with the acquire in slots.cpp.
    stack::chunk_source.store_release(take_stack_chunk);
  }
  range_state.store_release(there ? 1 : 2);  // pairs with the acquire above
  return there;
}

}  // namespace gort::managed
