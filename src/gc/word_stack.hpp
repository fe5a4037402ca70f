// Words that are to be looked up, of one worker and one region: a stack of chunks. To push one is a
// look at its own address: chunks are aligned, so at the end of one it is a multiple of their size.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "gc/grey.hpp"

namespace gort::managed {

// Its worker's.
class word_stack {
 public:
  [[gnu::always_inline]] void push(std::uintptr_t what) noexcept {
    if (is_full()) [[unlikely]]
      grow();
    *next_++ = what;
  }
  std::size_t size() const noexcept {
    return next_ == nullptr ? 0 : below_ + static_cast<std::size_t>(next_ - top()->words);
  }
  /// The last `count` words that lie in a row, `most` at most; they begin at end() - count, and are
  /// there until the next push(). 0: it is empty.
  std::size_t take(std::size_t most) noexcept {
    if (next_ == nullptr) return 0;
    chunk* const first = top();
    if (next_ == first->words) {
      if (first->next == nullptr) return 0;
      next_ = first->next->words + chunk::words_max;
      below_ -= chunk::words_max;
      gate().with_lock([first](bool) { pool_locked(first); });
    }
    const std::size_t count = std::min(most, static_cast<std::size_t>(next_ - top()->words));
    next_ -= count;
    return count;
  }
  const std::uintptr_t* end() const noexcept { return next_; }

  /// All of it: full chunks to `given`; the words of others first to `rest`, which goes there when
  /// it is full. Null: there is none yet.
  void give(chunk_list& given, chunk*& rest, chunk_list& empty) noexcept {
    if (next_ == nullptr) return;
    chunk* each = top();
    each->count = static_cast<std::uint32_t>(next_ - each->words);
    for (chunk* below = each->next; below != nullptr;) {
      chunk* const full = std::exchange(below, below->next);
      full->count = chunk::words_max;
      given.push(full);
    }
    next_ = nullptr;
    below_ = 0;
    if (rest == nullptr) {
      rest = each;
      return;
    }
    const std::size_t count = std::min<std::size_t>(each->count, chunk::words_max - rest->count);
    std::copy_n(each->words + each->count - count, count, rest->words + rest->count);
    rest->count += static_cast<std::uint32_t>(count);
    each->count -= static_cast<std::uint32_t>(count);
    if (each->count == 0)
      empty.push(each);
    else
      given.push(std::exchange(rest, each));
  }

  /// Into `to`, which is prepared for it: the older half of those at its top that lie in a row. How
  /// many; 0: it has hardly any.
  std::size_t give_older(chunk& to) noexcept {
    to.prepare(true);
    if (next_ == nullptr) return 0;
    chunk* const from = top();
    const auto there = static_cast<std::size_t>(next_ - from->words);
    const std::size_t count = there / 2;
    std::copy_n(from->words, count, to.words);
    std::copy(from->words + count, next_, from->words);
    next_ -= count;
    to.count = static_cast<std::uint32_t>(count);
    return count;
  }

 private:
  static constexpr std::uintptr_t offset_mask = sizeof(chunk) - 1;

  bool is_full() const noexcept {  // or has no chunk
    return (reinterpret_cast<std::uintptr_t>(next_) & offset_mask) == 0;
  }
  chunk* top() const noexcept {
    return reinterpret_cast<chunk*>(reinterpret_cast<std::uintptr_t>(next_ - 1) & ~offset_mask);
  }
  [[gnu::noinline]] void grow() noexcept {
    chunk* made = nullptr;
    gate().with_lock([&made](bool) { made = take_chunk_locked(); });
    made->prepare(true);
    if (next_ != nullptr) {
      made->next = top();
      below_ += chunk::words_max;
    }
    next_ = made->words;
  }

  std::uintptr_t* next_ = nullptr;  // where the next word goes; at the end of a full chunk
  std::size_t below_ = 0;           // words in all chunks but the first
};

}  // namespace gort::managed
