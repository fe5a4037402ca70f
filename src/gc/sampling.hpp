// Which managed objects the heap profile follows: one for so many bytes, on average, as of malloc's
// blocks.
//
// Problem: an allocation takes a bit from a word, and has no time to count bytes. But a bin gets
// its slots a word at a time, out of line, and there it is known which of them is the next to be
// sampled. So the bin is given the slots up to that one, and the others are kept back: the
// allocation that finds none comes out of line, and is sampled.
//
// Invariants
//   [sample-1] bin::later: slots of the present word behind those in `free`. It changes together
//              with `free` at an odd version [alloc-4], and is held as that is [alloc-3]. Its
//              lowest is the one to be sampled.
//   [sample-2] A sampled object is in the profile by the address of its slot, and span::sampled is
//              not 0, before its allocation returns: nobody has dropped it yet. The sweep takes it
//              out before its slot can be taken again. The word is their number and the sum of
//              their slots': if there is one, and more are rare, it says which. One that the
//              profile has no room for is taken out at once: else their number would pass its bits.
//   [sample-3] `sampler` is used by who uses its cache [alloc-1].
//
// Rejected: a countdown for each allocation, as in malloc (a nanosecond of five); a header.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gort::managed {

struct span;

/// Slots of a span in one word: how many, and the sum of their numbers, at most 512 each.
struct sampled_slots {
  static constexpr unsigned count_bits = 10;
  std::uint32_t bits = 0;
  static constexpr std::uint32_t one(std::uint32_t slot) noexcept { return slot << count_bits | 1; }
  constexpr std::uint32_t count() const noexcept { return bits & ((1U << count_bits) - 1); }
  constexpr std::uint32_t sum() const noexcept { return bits >> count_bits; }
};

struct sampler {
  std::int64_t rate = -1;       // for which the next has been drawn
  std::int64_t left_bytes = 0;  // until the next
  std::uint64_t random = 0;

  /// Those of `slots`, lowest first, that come before the one to be sampled: all, or fewer.
  std::uint64_t before_next(std::uint64_t slots, std::size_t slot_bytes) noexcept;
  /// It has come.
  void draw() noexcept;
  /// The rate has not changed since.
  bool is_current() const noexcept;
};

/// Whether an object of whole pages is sampled. Any thread.
bool samples_large(std::size_t bytes) noexcept;

/// The calling thread has just allocated it, and has its address.
void note_sampled(std::uintptr_t slot, std::size_t bytes) noexcept;

/// Of a span that has any: these of its slots, whose bits are set in its `word`, are dead. The
/// collector, under the lock of the span's class.
void forget_sampled(span& of, std::uint32_t word, std::uint64_t dead) noexcept;

// --- alloc_trace.cpp: GODEBUG=allocfreetrace=1
/// Prints that the calling thread has allocated it, with its stack.
void trace_allocation(std::uintptr_t slot, std::size_t bytes) noexcept;
/// Prints what the sweep is about to free, with the collector's stack. The collector, when the dead
/// are known.
void trace_frees() noexcept;

}  // namespace gort::managed
