// Numbers of stacks that were walked before, found again without a walk.
//
// Problem: a trace notes the same few stacks millions of times a second, and a walk of a dozen
// frames takes as long as several switches.
//
// What a walk finds follows from where it begins and from the words of the stack that it reads:
// return addresses, and where it needs them, frame pointers. So a walk leaves a trail of those.
// Whoever stands at the same place later compares the words: if all are as they were (frame
// pointers, counted from the stack pointer), the walk would find the same.
//
// Invariants
//   [memo-1] What is remembered never changes once a slot leads to it: the slot's release pairs
//            with the acquire of who looks there. Memory is handed out in order and comes back with
//            all of it, when nobody looks.
//   [memo-2] A slot says where to look, not what is there: everything is compared. Of stacks that
//            are equally deep four are remembered, then none: those are walked.
//   [memo-3] As in a walk [walk-1], no word beyond the bounds is read. [walk-3] holds, too.
#pragma once

#include <cstddef>
#include <cstdint>

#include <gort/detail/atomic.hpp>

#include "stack/walk.hpp"

namespace gort::stack {

class walk_memo {
 public:
  /// The memory is the caller's, all zero, of `bytes`.
  void use(void* memory, std::size_t bytes) noexcept;

  /// The number of the stack from there, if it was told of one that is the same; else 0. As walk():
  /// any thread, any handler of a signal. Not for stacks whose bounds are unknown.
  std::uint32_t find(const frame_state& from, const stack_bounds& bounds) const noexcept;

  /// Nothing, if there is no room or the trail is not whole.
  void add(const frame_state& from, const stack_bounds& bounds, const walk_trail& trail,
           std::uint32_t number) noexcept;

 private:
  static constexpr std::size_t slots = std::size_t{1} << 12, ways = 4;

  struct entry {
    std::uintptr_t pc;
    std::uintptr_t fp;         // counted from the stack pointer
    std::uintptr_t end_bytes;  // of what is compared, likewise
    std::uint32_t number;
    std::uint32_t reads;
    walk_trail::read all[1];  // as many as there are
  };
  std::size_t first_slot(const frame_state& from, const stack_bounds& bounds) const noexcept;

  detail::atomic<std::uint32_t>* slots_ = nullptr;  // 1 + where its entry begins; 0: none
  std::uint64_t* words_ = nullptr;
  std::size_t words_max_ = 0;
  detail::atomic<std::size_t> words_used_;
};

}  // namespace gort::stack
