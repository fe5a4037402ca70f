// Stack slots: where goroutines' stacks come from.
//
// Problem: a million goroutines, each with a stack that is large when needed, costs one page when
// not, and never overflows into its neighbor.
//
// A slot is a range of one of 33 sizes in a chunk of reserved address space; the lowest pages are
// the guard, the top holds the owner's record (src/sched/gmp/g.hpp) so that an idle goroutine
// touches one page for both. Slots are recycled, last used first, because their top page is warm.
// Those that were not needed for a while give their pages back.
//
//      low                                                            high
//      | guard | ... untouched ... | frames, growing down | owner record |
//
// Invariants
//   [stack-1] Every slot that was ever handed out has its guard.
//   [stack-2] Nothing in a free slot is needed: its record is dead memory, and may have become
//   zero.
//             Which slots are free stands elsewhere (slots.cpp).
//   [stack-3] Chunks are never unmapped: for_each() may read any record without a lock, and a stale
//            pointer into a slot reads old data rather than faulting.
//
// Rejected: mmap per stack (one VMA or two each: vm.max_map_count ends it at 32 000); growing by
// copying (C++ holds pointers into its stacks).
#pragma once

#include <cstddef>
#include <cstdint>

#include <gort/detail/atomic.hpp>

#include "os/memory.hpp"

namespace gort::stack {

/// Where chunks of slots come from first, if anywhere but from os::reserve(): the managed heap
/// wants stacks in a range of its own (src/gc/range.cpp). It may return null.
extern constinit detail::atomic<void* (*)(std::size_t bytes) noexcept> chunk_source;

// Sizes: 16, 24, 32, 48, 64, 96, ... KiB; the last class is 1 GiB.
constexpr unsigned size_class_count = 33;

constexpr std::size_t class_bytes(unsigned size_class) noexcept {
  constexpr std::size_t smallest = 16 << 10;
  const std::size_t power = smallest << (size_class / 2);
  return size_class % 2 == 0 ? power : power + power / 2;
}

/// The smallest class that holds `bytes` of usable stack plus guard; clamps to the largest.
constexpr unsigned class_for(std::size_t bytes) noexcept {
  unsigned size_class = 0;
  while (size_class + 1 < size_class_count && class_bytes(size_class) < bytes) ++size_class;
  return size_class;
}

constexpr std::size_t guard_bytes(unsigned size_class) noexcept {
  return class_bytes(size_class) >= (64 << 10) ? 4 * os::page_bytes : os::page_bytes;
}

/// The low end of a slot (its guard begins there), null when the kernel gives no memory or no
/// guard; errno says why.
void* acquire(unsigned size_class) noexcept;

/// Gives `count` slots of one class back.
void release(unsigned size_class, void* const* slots, std::size_t count) noexcept;

/// Begins a period: how many free slots with pages were not needed in the one before.
std::size_t surplus(unsigned size_class) noexcept;

/// Gives back the pages of at most `count` free slots, those first that have been free for longest.
/// One caller at a time for each class: `busy` otherwise, `refused` if the kernel keeps the pages
/// (locked memory). A few system calls for each; no lock is held meanwhile.
struct cooled {
  enum class how : std::uint8_t { done, none_left, busy, refused } how;
  std::size_t stacks = 0;
  std::size_t bytes = 0;
};
cooled give_back_free(unsigned size_class, std::size_t count) noexcept;

/// Free slots that may still have pages, in all classes. A hint.
std::size_t warm_count() noexcept;

/// Calls f for every slot ever handed out, free or not, class by class in address order.
void for_each(void (*f)(unsigned size_class, void* low, void* argument), void* argument) noexcept;

/// Calls f for every chunk, in no order.
void for_each_chunk(void (*f)(std::uintptr_t low, std::uintptr_t high, void* argument),
                    void* argument) noexcept;

/// Goes through the same slots a few at a time.
struct slot_cursor {
  unsigned size_class = 0;
  std::size_t index = 0;
};
/// The next one and its class; null at the end, and then it starts again.
void* next_slot(slot_cursor& at, unsigned& size_class) noexcept;

/// How many slots exist, in all classes.
std::size_t slot_count() noexcept;
/// Of one class; and its low end, for each index below that.
std::size_t handed_out(unsigned size_class) noexcept;
void* slot_of(unsigned size_class, std::size_t index) noexcept;

}  // namespace gort::stack
